"""Several processes write one result to a store, and it has the bytes of one that a process wrote alone."""

from __future__ import annotations

import json
import signal
from functools import partial

import pytest

import initctl
from initctl.errors import ConflictError, UncertainError, UsageError
from tests.distributed.checkpoints import CASES, RULES, Case, archive, one_file, shards
from tests.distributed.processes import Ended, ended, started
from tests.distributed.results import shuffled
from tests.stores.servers import Fault
from tests.stores.test_writing import URL, files

pytestmark = [
    pytest.mark.filterwarnings("ignore::initctl.InitctlWarning"),
    pytest.mark.usefixtures("small_parts"),
]
CHOSEN = [
    *((case, "store") for case in CASES if case.source is shards),
    *((case, "files") for case in CASES if case.source is one_file and case.output == "out.safetensors"),
    *((case, "store") for case in CASES if case.source is archive and case.output == "out.pt"),
]


@pytest.mark.parametrize(("case", "origin"), CHOSEN, ids=str)
def test_it_is_equal_to_the_byte_for_every_number_of_parts_in_any_order(tmp_path, put, bucket, case: Case, origin):
    source, there = case.source(tmp_path), tmp_path / "there"
    there.mkdir()
    initctl.apply(source, f"{there}/{case.output}", **case.asked)
    given = source if origin == "files" else put(source, source.name)
    for parts in (3, 7):
        made = initctl.parts(given, f"{URL}/{parts}/{case.output}", **case.asked)
        for number in shuffled(parts):
            made.write(number, parts)
        assert not {name for name in bucket.objects(f"{parts}/") if not name.startswith(".initctl-")}
        assert made.status().is_complete
        made.commit()
        assert bucket.objects(f"{parts}/") == files(there)
        assert not bucket.uploads


@pytest.fixture
def parts(tmp_path, server):
    return initctl.parts(one_file(tmp_path), f"{URL}/out/net.safetensors", rules=RULES)


def test_a_part_that_is_done_returns_at_once(parts, server):
    first = parts.write(1, 3)
    server.asked.clear()
    again = initctl.parts(parts.plan, f"{URL}/out/net.safetensors").write(1, 3)
    assert (again.was_done, again.ranges) == (True, first.ranges)
    assert not [one for one in server.asked if one.method in ("PART", "COPY", "BEGIN")]


def test_the_parts_share_the_bytes_evenly(parts):
    sizes = [share.nbytes for share in parts.split(3).shares]
    assert max(sizes) < 2 * min(sizes)


def test_a_commit_names_what_is_missing(parts, bucket):
    parts.write(2, 3)
    assert parts.status().missing == (1, 3)
    with pytest.raises(ConflictError, match="2 of 3 parts not written yet: 1, 3"):
        parts.commit()
    assert not bucket.objects("out/net")


def test_another_number_of_parts_is_refused(parts):
    parts.write(1, 3)
    with pytest.raises(
        ConflictError, match=r"in 3 parts, not 2; .*remove the objects below s3://bucket/out/\.initctl-"
    ):
        parts.write(1, 2)


def test_a_commit_that_fails_is_completed_by_the_next_one(tmp_path, put, bucket, server, monkeypatch):
    source = shards(tmp_path)
    initctl.apply(source, tmp_path / "out", rules=RULES)
    made = initctl.parts(source, f"{URL}/out", rules=RULES)
    for number in (1, 2):
        made.write(number, 2)
    server.faults.append(Fault(lambda method, path: method == "COMPLETE" and "00002" in path, 403, "AccessDenied", 9))
    with pytest.raises(
        UncertainError, match=r"only some of its files are there: .*access is denied.*run the commit again"
    ):
        made.commit()
    assert "model.safetensors.index.json" not in bucket.objects("out/")
    server.faults.clear()
    initctl.parts(source, f"{URL}/out", rules=RULES).commit()
    assert bucket.objects("out/") == files(tmp_path / "out")
    assert bucket.objects() == {f"out/{name}": content for name, content in bucket.objects("out/").items()}


@pytest.mark.parametrize("removing", ["parts.json", "part-1-of-2.json"])
def test_a_commit_that_was_killed_after_its_step_leaves_notes_that_the_next_one_removes(
    parts, bucket, server, removing
):
    for number in (1, 2):
        parts.write(number, 2)
    server.faults.append(Fault(lambda method, path: method == "DELETE" and path.endswith(removing), 403, "Denied", 9))
    with pytest.raises(initctl.UncertainError, match="is in place, but the notes of its parts could not be removed"):
        parts.commit()
    server.faults.clear()
    content = bucket.content("out/net.safetensors")
    again = initctl.parts(parts.plan, f"{URL}/out/net.safetensors", overwrite=False)
    again.commit()
    assert bucket.objects() == {"out/net.safetensors": content}


def test_an_object_that_appeared_meanwhile_stays(parts, bucket):
    parts.write(1, 1)
    bucket.put("out/net.safetensors", b"theirs")
    with pytest.raises(ConflictError, match="exists and"):
        parts.commit()
    assert bucket.content("out/net.safetensors") == b"theirs"


def test_a_changed_input_is_refused(tmp_path, put, bucket):
    path = one_file(tmp_path)
    url = put(path, "net.safetensors")
    initctl.parts(url, f"{URL}/out.safetensors", rules=RULES).write(1, 2)
    initctl.apply(path, in_place=True, rules=["norm.bias=ones"])
    put(path, "net.safetensors")
    again = initctl.parts(url, f"{URL}/out.safetensors", rules=RULES)
    for step in (partial(again.write, 2, 2), again.status, again.commit):
        with pytest.raises(ConflictError, match=r"was begun before net\.safetensors changed"):
            step()


def test_parts_by_other_rules_are_named_if_one_is_missing(tmp_path, put):
    url = put(one_file(tmp_path), "net.safetensors")
    first, other = (initctl.parts(url, f"{URL}/out.safetensors", rules=[f"*=constant:val={n}"]) for n in (1, 2))
    first.write(1, 2)
    other.write(2, 2)
    with pytest.raises(ConflictError, match=r"; parts by other rules, or of other results, are in s3://bucket/\.init"):
        other.commit()


def test_a_rank_that_is_lost_during_the_commit_does_not_hide_that_it_was_made(tmp_path, put, bucket, server):
    """Who runs the same command again would change what is changed already."""
    put(one_file(tmp_path), "net.safetensors")
    before = bucket.content("net.safetensors")
    ranks = started(2, ["apply", f"{URL}/net.safetensors", "--in-place", "-r", "norm.bias=ones"], tmp_path)

    def kill_second(method, path):
        if method == "COMPLETE" and path.endswith("/net.safetensors"):
            ranks[1].kill()
            ranks[1].wait()
        return False

    server.faults.append(Fault(kill_second))
    first, second = ended(ranks)
    assert (first.status, second.status) == (7, -signal.SIGKILL)
    assert first.err.startswith(f"initctl: error: {URL}/net.safetensors: is in place; but rank 0: another rank has")
    assert "again" not in first.err
    assert bucket.content("net.safetensors") != before


def test_a_whole_bucket_has_no_place_for_notes(tmp_path, server):
    with pytest.raises(UsageError, match="is a whole bucket"):
        initctl.parts(shards(tmp_path), URL, rules=RULES).write(1, 2)


def test_ranks_write_one_result(tmp_path, put, bucket):
    source = shards(tmp_path)
    put(source, "net")
    rules = ["-r", "norm.bias=ones", "-r", "double=normal"]
    for command in (["-o", f"{URL}/out"], ["--in-place"]):
        first, other = ended(started(2, ["apply", f"{URL}/net", *command, *rules, "--json"], tmp_path))
        assert first.status == 0, first.err
        assert other == Ended(0, "", "")
        assert json.loads(first.out)["data"]["files"]
    initctl.apply(source, in_place=True, rules=["norm.bias=ones", "double=normal"])
    assert bucket.objects("out/") == files(source)
    assert not initctl.diff(f"{URL}/net", source).differ
    assert not bucket.uploads
