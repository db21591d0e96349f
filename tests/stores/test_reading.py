"""A checkpoint in a store is read as the same files would be, and only as much of it as is needed."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import threading

import pytest
import torch
from safetensors.torch import save_file

import initctl
from initctl.commit.copying import read_into
from initctl.errors import ConflictError, InputError, StorageError
from initctl.formats.opening import opened, read_at
from initctl.stores.mirror import mirrored
from initctl.stores.url import Url
from tests.stores.checkpoints import tensors
from tests.stores.servers import Fault

BLOCK = 64 << 10
RULES = ["*.bias=zeros", "*.weight=normal:std=0.02"]


@pytest.fixture(params=["s3_server", "gs_server"])
def server(request):
    return request.getfixturevalue(request.param)


@pytest.fixture
def sharded(tmp_path):
    from huggingface_hub import save_torch_state_dict

    state = {f"layers.{n}.weight": torch.randn(200, 100) for n in range(24)}  # in 12 files: a multiple of the gate
    (tmp_path / "net").mkdir()
    save_torch_state_dict(state, tmp_path / "net", max_shard_size=2 * 200 * 100 * 4)
    (tmp_path / "net" / "config.json").write_text('{"hidden_size": 100}')
    return tmp_path / "net"


@pytest.mark.parametrize("kind", ["file", "torch_file", "sharded"])
def test_the_table_is_that_of_the_local_files(kind, request, put):
    path = request.getfixturevalue(kind)
    url = put(path, f"models/{path.name}")
    assert initctl.inspect(url).to_json() == initctl.inspect(path).to_json()
    assert initctl.inspect(url).path == url


def test_of_one_file_only_the_header_is_fetched(file, put, server):
    initctl.inspect(put(file, "m/model.safetensors"))
    assert server.nbytes == BLOCK < file.stat().st_size


def test_of_shards_only_the_headers_are_fetched_each_once(sharded, put, server):
    initctl.inspect(put(sharded, "net"))
    shards = [one.path for one in server.asked if one.range and one.path.endswith(".safetensors")]
    assert len(shards) == len({*shards}) == len(list(sharded.glob("*.safetensors"))) > 10
    assert server.nbytes <= BLOCK * (len(shards) + 1)


def test_headers_of_shards_are_fetched_side_by_side(sharded, put, server):
    url = put(sharded, "net")
    server.gate = threading.Barrier(4, timeout=60)
    assert len(initctl.inspect(url).tensors) == 24


def test_a_plan_of_a_url_differs_only_in_its_path(sharded, put):
    url = put(sharded, "net")
    here, there = (initctl.plan(path, rules=["*=normal:std=1/config.hidden_size"]) for path in (sharded, url))
    assert there.rows() == here.rows()
    assert there.to_document()["checkpoint"] == url


@pytest.mark.parametrize("kind", ["file", "torch_file", "sharded"])
def test_apply_from_a_url_writes_the_bytes_that_it_writes_from_files(kind, request, put, tmp_path):
    path = request.getfixturevalue(kind)
    one, other = tmp_path / "one" / path.name, tmp_path / "other" / path.name
    one.parent.mkdir()
    other.parent.mkdir()
    rule = ["*.0.weight=zeros"] if kind == "sharded" else ["fc.bias=zeros"]
    initctl.apply(path, one, rules=rule)
    initctl.apply(put(path, path.name), other, rules=rule)
    files = [file.relative_to(one) for file in one.rglob("*")] if one.is_dir() else [""]
    assert all((one / file).read_bytes() == (other / file).read_bytes() for file in files)


@pytest.mark.parametrize("kind", ["file", "torch_file", "sharded"])
def test_values_are_read_from_the_store(kind, request, put):
    path = request.getfixturevalue(kind)
    url = put(path, path.name)
    assert initctl.stats(url).to_json() == initctl.stats(path).to_json()
    assert not initctl.diff(url, path).differ
    assert initctl.verify(initctl.plan(path, rules=["nothing=keep"], allow_unused=True), url)


def test_a_mirrored_file_cannot_be_read_by_the_system(file, put, tmp_path):
    path = mirrored(Url.parse(put(file, "model.safetensors")))
    assert os.path.getsize(path) == file.stat().st_size
    with opened(path) as (descriptor, _), open(tmp_path / "copy", "wb") as other:
        for read in (
            lambda: os.pread(descriptor, 8, 0),
            lambda: os.read(descriptor, 8),
            lambda: os.copy_file_range(descriptor, other.fileno(), 8, 0),
        ):
            with pytest.raises(OSError) as failed:
                read()
            assert failed.value.errno == errno.EBADF


def test_a_header_that_only_the_library_can_judge_is_read(tmp_path, put):
    save_file({"a\\b": torch.ones(3)}, tmp_path / "odd.safetensors")
    assert initctl.inspect(put(tmp_path / "odd.safetensors", "odd.safetensors")).tensors[0].name == "a\\b"


def test_an_object_that_changes_while_it_is_read_is_a_conflict(file, put, tmp_path):
    url = put(file, "model.safetensors")
    plan = initctl.plan(url, rules=["fc.bias=zeros"])
    save_file(tensors(seed=1), file)
    put(file, "model.safetensors")
    with pytest.raises(ConflictError, match=f"^{url}: changed while it was read"):
        initctl.apply(plan, tmp_path / "out.safetensors")
    assert not (tmp_path / "out.safetensors").exists()


def test_ranges_of_two_versions_are_never_put_together(file, put):
    with opened(mirrored(Url.parse(put(file, "model.safetensors")))) as (descriptor, _):
        read_into(descriptor, memoryview(bytearray(8)), 0)
        save_file(tensors(seed=1), file)
        put(file, "model.safetensors")
        with pytest.raises(ConflictError, match="changed while it was read"):
            read_into(descriptor, memoryview(bytearray(8)), 8)


def test_a_read_beyond_the_end_is_a_conflict(file, put):
    with opened(mirrored(Url.parse(put(file, "model.safetensors")))) as (descriptor, status):
        assert read_at(descriptor, 100, status.st_size - 3) == file.read_bytes()[-3:]
        with pytest.raises(ConflictError, match="became shorter"):
            read_into(descriptor, memoryview(bytearray(8)), status.st_size - 3)


def test_a_directory_of_temporary_files_that_cannot_be_used_is_a_fault_of_the_storage(file, put, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    url = put(file, "model.safetensors")
    with opened(mirrored(Url.parse(url))) as (descriptor, _):
        (home,) = tmp_path.glob("initctl-*")
        (home / "kept").touch()
        with pytest.raises(StorageError, match=f"^{url}: a temporary file cannot be used: .*; set TMPDIR"):
            read_at(descriptor, 8, 0)


def test_what_was_kept_of_a_header_is_fetched_again_if_it_was_removed(file, put, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with opened(mirrored(Url.parse(put(file, "model.safetensors")))) as (descriptor, _):
        read_at(descriptor, 8, 0)
        for kept in tmp_path.glob("initctl-*/kept/*/*"):
            kept.unlink()
        assert read_at(descriptor, 100, 0) == file.read_bytes()[:100]


def test_a_mirror_is_removed_when_the_process_ends(file, put, tmp_path):
    url = put(file, "model.safetensors")
    (tmp_path / "mirrors").mkdir()
    environment = {**os.environ, "TMPDIR": str(tmp_path / "mirrors")}
    subprocess.run([sys.executable, "-m", "initctl", "inspect", url], env=environment, check=True, capture_output=True)
    assert not list((tmp_path / "mirrors").iterdir())


def test_an_object_that_is_deleted_is_a_conflict(file, put, server, tmp_path):
    plan = initctl.plan(put(file, "model.safetensors"), rules=["fc.bias=zeros"])
    server.delete("model.safetensors")
    with pytest.raises(ConflictError, match="changed while it was read"):
        initctl.apply(plan, tmp_path / "out.safetensors")


def test_a_throttled_store_is_asked_again(file, put, server):
    url = put(file, "model.safetensors")
    server.faults.append(Fault(lambda method, path: method == "GET", 503, "SlowDown", times=2))
    assert len(initctl.inspect(url).tensors) == 3


def test_if_the_connection_breaks_the_rest_is_asked_for_again(file, put, server):
    url = put(file, "model.safetensors")
    server.breaking = 3
    assert initctl.stats(url).to_json()["tensors"] == initctl.stats(file).to_json()["tensors"]
    assert server.breaking == 0


def test_a_connection_that_always_breaks_is_given_up(file, put, server):
    url = put(file, "model.safetensors")
    server.breaking = 99
    with pytest.raises(StorageError, match="breaks again and again"):
        initctl.inspect(url)


@pytest.mark.parametrize(
    ("status", "code", "error", "says"),
    [(403, "AccessDenied", InputError, "access is denied"), (400, "Odd", StorageError, "the store failed: Odd")],
)
def test_a_refusal_names_the_url_and_no_secret(file, put, server, status, code, error, says):
    url = put(file, "model.safetensors")
    server.faults.append(Fault(lambda method, path: method == "GET", status, code, times=9))
    with pytest.raises(error, match=says) as refused:
        initctl.inspect(url)
    assert server.url("") in str(refused.value)
    assert "canary" not in str(refused.value)


def test_a_url_with_nothing_there_is_missing(server):
    with pytest.raises(InputError, match="no object has this name, and none is below it") as refused:
        initctl.inspect(server.url("none"))
    assert refused.value.problems[0].code == "file.missing"


@pytest.mark.parametrize("key", ["net/../../escape.safetensors", "net//a", "net/model.safetensors/below"])
def test_a_name_that_is_not_a_file_s_is_refused(key, file, put, server):
    put(file, "net/model.safetensors")
    server.put(key, b"x")
    with pytest.raises(InputError) as refused:
        initctl.inspect(server.url("net"))
    assert refused.value.problems[0].code == "store.name"


def test_messages_name_urls_and_not_the_mirror(server):
    server.put("bad.safetensors", b"\0" * 8)
    with pytest.raises(InputError, match=f"^{server.url('bad.safetensors')}: "):
        initctl.inspect(server.url("bad.safetensors"))


@pytest.mark.parametrize(
    "arguments",
    [
        ["inspect", "{}", "--json"],
        ["stats", "{}"],
        ["doctor", "{}"],
        ["verify", "{}", "-r", "fc.bias=keep", "-r", "*=keep", "--allow-unused"],
        ["new", "--like", "{}", "-o", "{out}", "-r", "*=zeros"],
    ],
    ids=lambda arguments: arguments[0],
)
def test_each_command_says_of_a_url_what_it_says_of_the_file(arguments, file, put, tmp_path):
    url, found = put(file, "model.safetensors"), []
    for place in (str(file), url):
        out = tmp_path / "out.safetensors"
        command = [argument.format(place, out=out) for argument in arguments]
        ran = subprocess.run([sys.executable, "-m", "initctl", *command], capture_output=True, text=True)
        said = [" ".join(text.replace("\n# ", " ").replace(place, "HERE").split()) for text in (ran.stdout, ran.stderr)]
        found.append((ran.returncode, *said))
        out.unlink(missing_ok=True)
    assert found[0] == found[1]
    assert found[0][0] in (0, 1)
    assert "canary" not in "".join(found[1][1:])


def test_kept_bytes_are_asked_for_in_large_ranges(put, server, tmp_path):
    save_file({"kept": torch.zeros(20 << 20, dtype=torch.uint8), "new": torch.zeros(4)}, tmp_path / "net.safetensors")
    url = put(tmp_path / "net.safetensors", "net.safetensors")
    plan = initctl.plan(url, rules=["new=ones"])
    server.asked.clear()
    initctl.apply(plan, tmp_path / "out.safetensors")
    ranges = [one for one in server.asked if one.range]
    assert len(ranges) <= 3
    assert sum(one.nbytes for one in ranges) <= (20 << 20) + BLOCK
