"""A staged file takes its target's place whole and at once, or leaves no trace."""

from __future__ import annotations

import errno
import os
import re
import stat
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import TYPE_CHECKING

import pytest

from initctl import traces
from initctl.commit import effects
from initctl.commit.staging import StagedFile
from initctl.errors import ConflictError, StorageError, UncertainError
from tests.commit.folders import contents, fail_to_sync_directories, record_commits, refusing, snapshot

if TYPE_CHECKING:
    from pathlib import Path

STAGED_NAME = re.compile(r"\.initctl-[0-9a-f]{6}-[0-9]+-[0-9a-f]{8}\.tmp")


def put(target: Path, content: bytes, *, mode: int = 0o644, no_clobber: bool = False) -> None:
    """Write `content` to `target`, as the package does."""
    with StagedFile(str(target)) as staged:
        os.write(staged.descriptor, content)
        staged.sync(mode)
        staged.commit(no_clobber=no_clobber)


@pytest.fixture
def target(tmp_path: Path) -> Path:
    """A file that is to be replaced."""
    path = tmp_path / "model.safetensors"
    path.write_bytes(b"old")
    path.chmod(0o640)
    return path


def test_the_target_is_replaced_and_nothing_else_is_left(target: Path):
    put(target, b"new", mode=0o604)
    assert contents(target.parent) == {target.name: b"new"}
    assert stat.S_IMODE(target.stat().st_mode) == 0o604


def test_before_the_commit_the_target_is_as_it_was_and_what_is_staged_is_private(target: Path):
    before = snapshot(target.parent)
    with StagedFile(str(target)) as staged:
        for step in (lambda: os.write(staged.descriptor, b"new"), lambda: staged.sync(0o600)):
            step()
            (name,) = set(snapshot(target.parent)) - set(before)
            assert STAGED_NAME.fullmatch(name)
            assert str(os.getpid()) in name
            assert stat.S_IMODE((target.parent / name).stat().st_mode) == 0o600
            assert snapshot(target.parent)[target.name] == before[target.name]
    assert snapshot(target.parent) == before


@pytest.mark.parametrize(("no_clobber", "call"), [(False, "rename"), (True, "rename_new")])
def test_the_content_is_on_the_disk_before_the_name_and_the_name_before_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_clobber: bool, call: str
):
    log = record_commits(monkeypatch, call)
    put(tmp_path / "out", b"new", no_clobber=no_clobber)
    assert log == [(tmp_path / "out").stat().st_ino, call, tmp_path.stat().st_ino]


def test_who_has_the_old_file_open_goes_on_reading_it(target: Path):
    with target.open("rb") as reader:
        put(target, b"new")
        assert reader.read() == b"old"
    assert target.read_bytes() == b"new"


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("steps", [0, 1, 2])
def test_an_exception_at_any_step_leaves_no_trace(target: Path, steps: int, error: type[BaseException]):
    before = snapshot(target.parent)

    def leave() -> None:
        with StagedFile(str(target)) as staged:
            for step in (lambda: os.write(staged.descriptor, b"new"), lambda: staged.sync(0o600))[:steps]:
                step()
            raise error

    with pytest.raises(error):
        leave()
    assert snapshot(target.parent) == before


def test_leaving_without_a_commit_leaves_no_trace(target: Path):
    before = snapshot(target.parent)
    with StagedFile(str(target)) as staged:
        os.write(staged.descriptor, b"new")
    assert snapshot(target.parent) == before


@pytest.mark.parametrize(("call", "code"), [("fsync", errno.ENOSPC), ("chmod", errno.EPERM), ("rename", errno.EBUSY)])
def test_what_the_system_refuses_leaves_all_as_it_was(
    target: Path, monkeypatch: pytest.MonkeyPatch, call: str, code: int
):
    before = snapshot(target.parent)
    monkeypatch.setattr(*((effects, call) if call == "rename" else (os, call)), refusing(code))
    with pytest.raises(StorageError) as raised:
        put(target, b"new")
    assert str(raised.value) == f"{target}: cannot be written: {os.strerror(code)}"
    assert snapshot(target.parent) == before


@pytest.mark.parametrize("sync", [True, False])
def test_a_file_that_cannot_even_be_closed_leaves_no_trace(target: Path, monkeypatch: pytest.MonkeyPatch, sync: bool):
    before, close = snapshot(target.parent), os.close

    def failing(descriptor: int) -> None:  # as Linux does it: the descriptor is gone all the same
        close(descriptor)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def leave() -> None:
        with StagedFile(str(target)) as staged:
            monkeypatch.setattr(os, "close", failing)
            if sync:
                staged.sync(0o644)
            raise KeyError

    with pytest.raises(StorageError if sync else KeyError):
        leave()
    monkeypatch.undo()
    assert snapshot(target.parent) == before


def test_a_directory_that_is_missing_is_a_storage_error(tmp_path: Path):
    with pytest.raises(StorageError, match="No such file or directory"):
        put(tmp_path / "missing" / "out", b"new")


def test_a_directory_in_the_targets_place_stays(tmp_path: Path):
    (tmp_path / "out").mkdir()
    before = snapshot(tmp_path)
    with pytest.raises(StorageError):
        put(tmp_path / "out", b"new")
    assert snapshot(tmp_path) == before


def test_a_directory_that_cannot_be_synced_makes_the_result_uncertain_but_it_is_in_place(
    target: Path, monkeypatch: pytest.MonkeyPatch
):
    fail_to_sync_directories(monkeypatch, target.parent)
    with pytest.raises(UncertainError, match="the result is in place, but may not survive a power failure"):
        put(target, b"new")
    assert contents(target.parent) == {target.name: b"new"}


ONE_STEP = [None, errno.ENOSYS, errno.EINVAL]
"""What a rename that replaces nothing answers: NFS and old systems cannot do it."""


@pytest.fixture(params=ONE_STEP, ids=["renamed", "linked-by-an-old-system", "linked-on-nfs"])
def system(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param:
        monkeypatch.setattr(effects, "rename_new", refusing(request.param))


@pytest.mark.usefixtures("system")
def test_no_clobber_refuses_a_file_that_appeared_meanwhile(tmp_path: Path):
    target = tmp_path / "out"
    with StagedFile(str(target)) as staged:
        staged.sync(0o644)
        target.write_bytes(b"theirs")
        with pytest.raises(ConflictError, match="out: exists; leave overwrite=False out to replace it"):
            staged.commit(no_clobber=True)
    assert contents(tmp_path) == {"out": b"theirs"}


@pytest.mark.usefixtures("system")
def test_no_clobber_refuses_a_link_that_leads_nowhere(tmp_path: Path):
    (tmp_path / "out").symlink_to("nowhere")
    with pytest.raises(ConflictError):
        put(tmp_path / "out", b"new", no_clobber=True)
    assert contents(tmp_path) == {"out": "nowhere"}


@pytest.mark.usefixtures("system")
def test_under_no_clobber_a_free_name_is_taken_by_the_one_new_file(tmp_path: Path):
    put(tmp_path / "out", b"new", no_clobber=True)
    assert contents(tmp_path) == {"out": b"new"}
    assert (tmp_path / "out").stat().st_nlink == 1


@pytest.mark.usefixtures("system")
def test_of_many_at_once_under_no_clobber_one_wins(tmp_path: Path):
    for attempt in range(20):
        target, start = tmp_path / f"out{attempt}", Barrier(8)

        def contend(number: int, target: Path = target, start: Barrier = start) -> int | None:
            with StagedFile(str(target)) as staged:
                os.write(staged.descriptor, b"%d" % number)
                staged.sync(0o644)
                start.wait(timeout=30)
                try:
                    staged.commit(no_clobber=True)
                except ConflictError:
                    return None
            return number

        with ThreadPoolExecutor(8) as pool:
            (winner,) = [number for number in pool.map(contend, range(8)) if number is not None]
        assert target.read_bytes() == b"%d" % winner
    assert len(contents(tmp_path)) == 20


def test_under_no_clobber_a_rename_that_fails_on_an_able_system_is_not_tried_as_a_link(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(effects, "rename_new", refusing(errno.EIO))
    with pytest.raises(StorageError, match="out: cannot be written: Input/output error"):
        put(tmp_path / "out", b"new", no_clobber=True)
    assert contents(tmp_path) == {}


def test_a_second_name_that_cannot_be_removed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(effects, "rename_new", refusing(errno.EINVAL))
    monkeypatch.setattr(effects, "unlink", refusing(errno.EIO))
    with pytest.raises(UncertainError, match=r"out: is in place, but .*\.tmp could not be removed; remove it"):
        put(tmp_path / "out", b"new", no_clobber=True)
    assert (tmp_path / "out").read_bytes() == b"new"


def test_what_cannot_be_removed_after_a_failure_is_named_beside_it(target: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(effects, "rename", refusing(errno.EIO))
    monkeypatch.setattr(effects, "unlink", refusing(errno.EROFS))
    with pytest.raises(StorageError) as raised:
        put(target, b"new")
    (problem,) = raised.value.problems
    assert re.fullmatch(r".*: cannot be written: Input/output error; and .*\.tmp could not be removed", problem.message)
    assert target.read_bytes() == b"old"


def leave(target: Path, error: BaseException) -> None:
    """Stage something for `target`, and leave it with `error`."""
    with StagedFile(str(target)):
        raise error


def test_what_cannot_be_removed_after_an_error_of_the_system_is_named_beside_its_reason(
    target: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(effects, "unlink", refusing(errno.EROFS))
    with pytest.raises(StorageError) as raised:
        leave(target, OSError(errno.EIO, os.strerror(errno.EIO)))
    message = f"{re.escape(str(target))}: cannot be written: Input/output error; and .*\\.tmp could not be removed"
    assert re.fullmatch(message, str(raised.value))


@pytest.mark.parametrize("error", [KeyboardInterrupt(), KeyError("a bug")])
def test_what_cannot_be_removed_takes_no_other_errors_place(
    target: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
):
    monkeypatch.setattr(effects, "unlink", refusing(errno.EROFS))
    with pytest.raises(type(error)) as raised:
        leave(target, error)
    assert raised.value is error
    assert target.read_bytes() == b"old"


def test_a_target_with_the_longest_name_is_staged_under_a_short_one(tmp_path: Path):
    put(tmp_path / ("x" * 255), b"new")
    assert contents(tmp_path) == {"x" * 255: b"new"}


def test_a_system_that_does_not_number_its_boots_is_no_hindrance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(traces, "_BOOT_ID", str(tmp_path / "missing"))
    traces._boot.cache_clear()
    try:
        with StagedFile(str(tmp_path / "out")) as staged:
            assert os.path.basename(staged.path).startswith(f".initctl-000000-{os.getpid()}-")
    finally:
        traces._boot.cache_clear()
