"""What another program does meanwhile, or a store that is silent at the worst moment, makes no mix."""

from __future__ import annotations

import os
import signal
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from safetensors.torch import save_file

import initctl
from initctl.errors import ConflictError, StorageError, UncertainError
from tests.distributed.checkpoints import RULES, one_file, shards
from tests.stores.servers import BUCKET, Fault
from tests.stores.test_writing import URL

pytestmark = [
    pytest.mark.filterwarnings("ignore::initctl.InitctlWarning"),
    pytest.mark.usefixtures("small_parts", "impatient"),
]
SEVERAL = {"rules": ["norm.bias=zeros", "double=normal", "steps=ones"]}


def once(server, fits, happens):
    """Let something happen once, when a request `fits`, before it is obeyed."""
    done = []

    def seen(method, path):
        if not done and fits(method, path):
            done.append(path)
            happens()
        return False

    server.faults.append(Fault(seen))
    return done


def is_ended(server, name):
    return any(one.method == "COMPLETE" and name in one.path for one in server.asked)


@pytest.mark.parametrize("place", ["net", "new"])
def test_if_it_is_uncertain_whether_the_index_is_there_what_it_may_name_stays(tmp_path, put, bucket, server, place):
    url = put(shards(tmp_path), "net")
    asked = {"in_place": True} if place == "net" else {"output": f"{URL}/new"}
    server.faults.append(Fault(lambda method, path: method == "COMPLETE" and "index" in path, times=2))
    server.faults.append(
        Fault(
            lambda method, path: "index" in path and method in ("HEAD", "ABORT") and is_ended(server, "index"),
            503,
            "",
            4,
        )
    )
    with pytest.raises(UncertainError, match=r"index\.json: the store did not say whether it was written"):
        initctl.apply(url, **asked, **SEVERAL)
    server.faults.clear()
    found = bucket.objects(f"{place}/")
    index = found["model.safetensors.index.json"].decode()
    named = {name for name in found if name.endswith(".safetensors") and f'"{name}"' in index}
    assert len(named) == 3


def test_an_upload_that_is_aborted_after_its_end_is_complete(tmp_path, put, bucket, server):
    """Amazon answers as if it aborted what is complete."""
    url = put(one_file(tmp_path), "net.safetensors")
    server.is_forgetful = True
    server.faults.append(Fault(lambda method, path: method == "COMPLETE", times=2))
    server.faults.append(Fault(lambda method, path: method == "HEAD" and is_ended(server, "net"), 503, "SlowDown", 2))
    before = bucket.content("net.safetensors")
    initctl.apply(url, in_place=True, rules=["norm.bias=zeros"])
    assert bucket.content("net.safetensors") != before


def test_parts_do_not_replace_what_another_program_wrote_meanwhile(tmp_path, server, bucket):
    made = initctl.parts(one_file(tmp_path), f"{URL}/out/net.safetensors", rules=RULES)
    made.write(1, 1)
    save_file({"theirs": torch.ones(3)}, tmp_path / "theirs.safetensors")
    theirs = (tmp_path / "theirs.safetensors").read_bytes()
    bucket.put("out/net.safetensors", theirs)
    with pytest.raises(ConflictError, match=r"net\.safetensors: another program changed it; write every part again"):
        made.commit()
    assert bucket.objects() == {"out/net.safetensors": theirs}
    assert not bucket.uploads


def test_parts_do_not_join_what_another_program_wrote_below_the_prefix(tmp_path, server, bucket):
    made = initctl.parts(shards(tmp_path), f"{URL}/out", rules=RULES)
    made.write(1, 1)
    bucket.put("out/pytorch_model.bin", b"theirs")
    with pytest.raises(ConflictError, match=r"s3://bucket/out: contains other objects by now: .*pytorch_model\.bin"):
        made.commit()
    assert bucket.objects("out/") == {"pytorch_model.bin": b"theirs"}


def test_a_prefix_that_another_program_began_meanwhile_is_not_joined(tmp_path, server, bucket):
    with pytest.raises(ConflictError, match="s3://bucket/out: contains objects"):
        initctl.apply(
            shards(tmp_path), f"{URL}/out", on_event=lambda _: bucket.put("out/pytorch_model.bin", b"theirs"), **SEVERAL
        )
    assert bucket.objects() == {"out/pytorch_model.bin": b"theirs"}
    assert not bucket.uploads


def test_of_two_changes_in_place_at_once_one_is_refused(tmp_path, put, bucket, server):
    path = shards(tmp_path)
    url = put(path, "net")
    other = initctl.plan(url, rules=["norm.bias=ones"])
    once(
        server,
        lambda method, path: method == "COMPLETE" and "index" in path,
        lambda: initctl.apply(other, in_place=True),
    )
    with pytest.raises(ConflictError, match=r"index\.json: another program changed it"):
        initctl.apply(url, in_place=True, **SEVERAL)
    initctl.apply(path, in_place=True, rules=["norm.bias=ones"])
    assert not initctl.diff(url, path).differ
    assert len([name for name in bucket.objects("net/") if "-of-" in name]) == 3


def test_a_commit_that_ends_halfway_says_so_and_is_completed_by_the_next_one(tmp_path, server, bucket):
    made = initctl.parts(shards(tmp_path), f"{URL}/out", rules=RULES)
    made.write(1, 1)
    server.faults.append(Fault(lambda method, path: method == "COMPLETE" and "index" in path, 403, "AccessDenied", 9))
    with pytest.raises(UncertainError, match=r"only some of its files are there: .*run the commit"):
        made.commit()
    server.faults.clear()
    made.commit()
    assert initctl.verify(tmp_path / "shards", f"{URL}/out", rules=RULES)


def test_if_uploads_of_parts_are_gone_a_message_says_what_to_remove(tmp_path, server, bucket):
    made = initctl.parts(one_file(tmp_path), f"{URL}/out/net.safetensors", rules=RULES)
    made.write(1, 2)
    for one in bucket.client.list_multipart_uploads(Bucket=BUCKET)["Uploads"]:
        bucket.client.abort_multipart_upload(Bucket=BUCKET, Key=one["Key"], UploadId=one["UploadId"])
    fault = r"uploads that it names are not there any more; remove the objects below s3://bucket/out/\.initctl-.*/, and"
    with pytest.raises(ConflictError, match=fault):
        made.write(2, 2)
    for name in bucket.objects():
        bucket.remove(name)
    for number in (1, 2):
        made.write(number, 2)
    made.commit()
    assert bucket.objects().keys() == {"out/net.safetensors"}


def test_a_signal_while_the_first_part_takes_its_notes_leaves_notes_and_uploads_together(tmp_path, server, bucket):
    made = initctl.parts(one_file(tmp_path), f"{URL}/out/net.safetensors", rules=RULES)
    once(
        server,
        lambda method, path: method == "COMPLETE" and "parts.json" in path,
        lambda: os.kill(os.getpid(), signal.SIGINT),
    )
    with pytest.raises(KeyboardInterrupt):
        made.write(1, 2)
    server.faults.clear()
    for number in (1, 2):
        made.write(number, 2)
    made.commit()
    assert bucket.objects().keys() == {"out/net.safetensors"}


def test_an_upload_that_cannot_be_given_up_is_named(tmp_path, server, bucket):
    server.faults.append(Fault(lambda method, _: method in ("PART", "ABORT"), 403, "Denied", 99))
    with pytest.raises(
        StorageError, match=r"access is denied.*\n.*unfinished upload stays in the bucket.*s3://bucket/new\."
    ):
        initctl.apply(one_file(tmp_path), f"{URL}/new.safetensors", rules=RULES)
    assert bucket.uploads


def test_threads_that_read_one_folder_of_new_objects_find_it(tmp_path, put):
    urls = [put(shards(tmp_path / str(number)), f"folder{number}") for number in range(4)]
    with ThreadPoolExecutor(3) as pool:
        for url in urls:
            found = [table.tensors for table in pool.map(initctl.inspect, [url] * 3)]
            assert found[0] == found[1] == found[2]


def test_notes_of_parts_are_not_copied(tmp_path, put, bucket):
    url = put(shards(tmp_path), "net")
    bucket.put("net/.initctl-0123.parts/parts.json", b"{}")
    initctl.apply(url, f"{URL}/copy", **SEVERAL)
    assert not [name for name in bucket.objects("copy/") if "initctl" in name]


def test_a_file_in_a_folder_with_many_objects_is_found(tmp_path, put, bucket, monkeypatch):
    monkeypatch.setattr("initctl.stores.mirror._MOST", 10)
    for number in range(15):
        bucket.put(f"many/a{number}.bin", b"x")
    assert initctl.inspect(put(one_file(tmp_path), "many/net.safetensors")).tensors


def test_shards_that_a_killed_change_left_are_no_second_model(tmp_path, put, bucket):
    url = put(shards(tmp_path), "net")
    bucket.put("net/model-00001-of-00003.rabcdef.safetensors", b"left")
    initctl.apply(url, in_place=True, **SEVERAL)
