"""A result in Google Cloud Storage is the one that is written to files; if something fails, what was there stays."""

from __future__ import annotations

import os
import re
import signal
from functools import cache, partial

import pytest

import initctl
import initctl.stores.mirror
from initctl.errors import ConflictError, InitctlError, UsageError
from initctl.stores.store import opened_store
from initctl.stores.upload_parts import Limits
from tests.distributed.checkpoints import CASES, Case, one_file, shards
from tests.stores.servers import BUCKET, Fault, ended
from tests.stores.test_writing import files

pytestmark = pytest.mark.filterwarnings("ignore::initctl.InitctlWarning")
URL = f"gs://{BUCKET}"
MARK = r"\.r[0-9a-f]{6}(?=\.)"
RULES = ["norm.bias=ones", "double=normal"]
FAULTS = (
    (503, "backendError", 1), (503, "obeyed", 1), (503, "backendError", 99), (403, "forbidden", 1), (410, "gone", 1),
    (412, "conditionNotMet", 1), (None, "lost", 1), (None, "lost", 99),
)  # fmt: skip
KINDS = ("new", "replaced", "prefix")
CHOSEN = [(KINDS[number % 3], *fault) for number, fault in enumerate(FAULTS)]
"""With `INITCTL_ALL_FAULTS=1`, every kind of result meets every fault."""
if os.environ.get("INITCTL_ALL_FAULTS"):
    CHOSEN = [(kind, *fault) for kind in KINDS for fault in FAULTS]


@pytest.fixture
def server(gs_server, monkeypatch):
    """Objects are sent in several parts and chunks, small as they are."""
    limits = Limits(smallest=1, largest=64 << 10, most=1 << 20, usual=16 << 10)
    monkeypatch.setattr("initctl.stores.gs.GS.limits", limits)
    monkeypatch.setattr("initctl.stores.gs_upload._UNIT", 1 << 10)
    monkeypatch.setattr("initctl.stores.gs_upload._CHUNK", 8 << 10)
    gs_server.unit = 1 << 10
    return gs_server


@pytest.fixture
def impatient(monkeypatch):
    """Every request is sent at most twice, the second time at once."""
    from urllib3.util import Retry

    from initctl.stores import gs_api, gs_upload

    monkeypatch.setattr(gs_api, "_REPEATED", Retry(1, allowed_methods={"GET", "DELETE"}, status_forcelist=gs_api.AGAIN))
    monkeypatch.setattr(gs_upload, "PAUSE", 0)
    monkeypatch.setattr(gs_upload, "RETRIES", 1)
    monkeypatch.setattr(initctl.stores.mirror, "opened_store", cache(opened_store))


@pytest.mark.parametrize(
    ("origin", "case"), [*(("store", case) for case in CASES[::2]), *(("files", case) for case in CASES[1::6])]
)
def test_it_has_the_bytes_of_the_files(tmp_path, put, server, case: Case, origin):
    source, there = case.source(tmp_path), tmp_path / "there"
    there.mkdir()
    initctl.apply(source, f"{there}/{case.output}", **case.asked)
    given = source if origin == "files" else put(source, source.name)
    initctl.apply(given, f"{URL}/there/{case.output}", **case.asked)
    assert server.objects("there/") == files(there)
    assert not server.uploads


def test_an_object_changes_in_place(tmp_path, put, server):
    path = one_file(tmp_path)
    url = put(path, path.name)
    for place in (url, path):
        initctl.apply(place, in_place=True, rules=RULES)
    assert server.objects() == files(path)


def test_several_shards_change_in_place(tmp_path, put, server):
    path = shards(tmp_path)
    url = put(path, "net")
    for place in (url, path):
        initctl.apply(place, in_place=True, rules=RULES)
    assert len(server.objects("net/")) == len(files(path))
    assert not initctl.diff(url, path).differ


def test_a_new_checkpoint_is_written_to_a_store(tmp_path, server):
    asked = {"like": shards(tmp_path), "rules": ["*=normal"], "allow_unused": True}
    initctl.new(tmp_path / "new", **asked)
    initctl.new(f"{URL}/new", **asked)
    assert server.objects("new/") == files(tmp_path / "new")


def test_an_object_that_another_program_wrote_meanwhile_stays(tmp_path, put, server):
    url = put(one_file(tmp_path), "net.safetensors")
    left = [1]

    def fits(method, _):
        if method == "END" and left:
            left.pop()
            server.put("net.safetensors", b"theirs")
        return False

    server.faults.append(Fault(fits))
    with pytest.raises(ConflictError, match=r"gs://bucket/net\.safetensors: another program changed it"):
        initctl.apply(url, in_place=True, rules=RULES)
    assert server.objects() == {"net.safetensors": b"theirs"}
    assert not server.uploads


@pytest.mark.parametrize(("kind", "answer", "code", "times"), CHOSEN)
@pytest.mark.usefixtures("impatient")
def test_whichever_request_fails_the_old_objects_or_the_new_ones_are_there(
    tmp_path, put, server, kind, answer, code, times
):
    source = shards(tmp_path) if kind == "prefix" else one_file(tmp_path)
    asked = {"output": f"{URL}/new.safetensors"} if kind == "new" else {"in_place": True}
    given = source if kind == "new" else f"{URL}/{source.name}"

    def write(fault):
        for name in server.objects():
            server.delete(name)
        if kind != "new":
            put(source, source.name)
        initctl.stores.mirror._tops.clear()
        server.faults[:] = [fault]
        return server.objects(), applied(given, asked)

    assert write(Fault(lambda *_: False))[1] == 0
    new, faults = without_marks(server.objects()), 0
    for number in range(1, 999):
        seen = []
        old, status = write(Fault(partial(is_number, number, seen), answer, code, times))
        server.faults.clear()
        if len(seen) < number:
            break
        faults += 1
        now = without_marks(server.objects())
        if status == 7:
            assert now == without_marks(old) or set(new.items()) <= set(now.items())
        else:
            assert now == new if status == 0 else server.objects() == old
    assert faults >= 5


def is_number(number, seen, method, path):
    """Whether this is the request with this number, from the first one that writes; or the same request once more."""
    if seen or method == "BEGIN":
        seen.append((method, path))
    return len(seen) >= number and (method, path) == seen[number - 1]


def applied(given, asked):
    """The exit status of the command."""
    try:
        initctl.apply(given, rules=RULES, threads=1, **asked)
    except InitctlError as error:
        assert "canary" not in str(error)
        return error.exit_status
    return 0


def without_marks(objects):
    """`objects` with the names that shards have if the marks of runs in place are left out. The new ones win."""
    marked = sorted(objects.items(), key=lambda pair: bool(re.search(MARK, pair[0])))
    return {re.sub(MARK, "", name): re.sub(MARK.encode(), b"", content) for name, content in marked}


def test_several_processes_do_not_write_one_object(tmp_path, server):
    parts = initctl.parts(one_file(tmp_path), f"{URL}/new.safetensors", rules=RULES)
    with pytest.raises(UsageError, match="several processes cannot write one object of Google Cloud Storage"):
        parts.write(1, 2)
    assert not server.objects()
    assert not server.uploads


@pytest.mark.parametrize("step", ["BEGIN", "END"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_process_that_is_ended_leaves_one_of_both_objects(tmp_path, put, server, step, number):
    url = put(one_file(tmp_path), "net.safetensors")
    old = server.objects()
    status = ended(["apply", url, "--in-place", "-r", "norm.bias=ones"], server, step, number)
    if step == "BEGIN" or status == 143:
        assert server.objects() == old
    else:
        assert status == (0 if number == signal.SIGTERM else -signal.SIGKILL)
        assert server.objects() != old
