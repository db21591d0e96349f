"""Locks keep processes apart, end with them, and belong to what is at the path now."""

from __future__ import annotations

import errno
import fcntl
import os
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING

import pytest

from initctl.commit.claims import beside, claimed
from initctl.errors import ConflictError
from initctl.locks import Busy, lock, locked
from tests.commit.folders import refusing

if TYPE_CHECKING:
    from pathlib import Path

HOLDING = """
import sys
from initctl.locks import lock
held = lock(sys.argv[1], is_shared=sys.argv[2] == "shared")
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.touch()
    return path


class Holder:
    """Another process that has locked a path."""

    def __init__(self, path: Path, kind: str = "alone") -> None:
        command = [sys.executable, "-c", HOLDING, str(path), kind]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout.readline() == "held\n"

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.communicate()


def test_what_another_process_has_locked_is_busy_until_it_ends_however_it_ends(file: Path):
    with Holder(file):
        for is_shared in (False, True):
            with pytest.raises(Busy), locked(str(file), is_shared=is_shared):
                pass
    with locked(str(file)) as is_locked:
        assert is_locked


def test_any_number_of_processes_share_a_lock_and_one_is_alone(file: Path):
    with Holder(file, "shared"), Holder(file, "shared"):
        with locked(str(file), is_shared=True) as is_locked:
            assert is_locked
        with pytest.raises(Busy), locked(str(file)):
            pass


def test_threads_of_one_process_are_kept_apart_too(file: Path):
    with locked(str(file)), pytest.raises(Busy), locked(str(file)):
        pass


def test_a_lock_that_is_just_released_is_waited_for(file: Path):
    held = lock(str(file))
    assert held is not None
    timer = threading.Timer(0.02, os.close, [held])
    timer.start()
    with locked(str(file)) as is_locked:
        assert is_locked
    timer.join()


def test_a_new_file_at_the_path_is_not_locked_by_who_holds_the_old_one(file: Path):
    with locked(str(file)):
        file.with_name("new").touch()
        file.with_name("new").replace(file)
        with locked(str(file)) as is_locked:
            assert is_locked


def test_who_waited_for_a_file_that_was_replaced_gets_the_lock_of_the_new_one(
    file: Path, monkeypatch: pytest.MonkeyPatch
):
    flock, locked_inodes = fcntl.flock, []

    def replaced_before(descriptor: int, kind: int) -> None:
        if not locked_inodes:
            file.with_name("new").touch()
            file.with_name("new").replace(file)
        locked_inodes.append(os.fstat(descriptor).st_ino)
        flock(descriptor, kind)

    monkeypatch.setattr(fcntl, "flock", replaced_before)
    held = lock(str(file))
    assert held is not None
    assert os.fstat(held).st_ino == locked_inodes[1] == file.stat().st_ino != locked_inodes[0]
    os.close(held)


def test_a_file_that_is_removed_before_it_is_locked_has_no_lock(file: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(fcntl, "flock", lambda *_: file.unlink(missing_ok=True))
    assert lock(str(file)) is None


@pytest.mark.parametrize("code", [errno.ENOLCK, errno.EBADF, errno.EOPNOTSUPP])
def test_a_file_system_without_locks_has_none_to_get(file: Path, monkeypatch: pytest.MonkeyPatch, code: int):
    monkeypatch.setattr(fcntl, "flock", refusing(code))
    before = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
    with locked(str(file)) as is_locked:
        assert not is_locked
    assert before == (len(os.listdir("/proc/self/fd")) if before else 0)
    with claimed(str(file)) as is_alone:
        assert not is_alone


def test_what_is_not_there_needs_no_lock_and_a_pipe_is_not_waited_for(tmp_path: Path):
    with locked(str(tmp_path / "missing")) as is_locked:
        assert not is_locked
    with claimed(str(tmp_path / "missing")) as is_alone:
        assert not is_alone
    os.mkfifo(tmp_path / "pipe")
    started = time.monotonic()
    with locked(str(tmp_path / "pipe")):
        pass
    assert time.monotonic() - started < 5


def test_a_link_is_locked_only_where_that_is_asked(file: Path):
    link = file.with_name("link")
    link.symlink_to(file)
    assert lock(str(link), follow=False) is None
    with locked(str(link)), pytest.raises(Busy), locked(str(file)):
        pass


class TestAClaim:
    def test_keeps_others_from_the_file_but_not_from_its_neighbors(self, file: Path):
        neighbor = file.with_name("neighbor")
        neighbor.touch()
        refused = pytest.raises(ConflictError, match="file: another process of initctl is changing it; run again when")
        with claimed(str(file)), claimed(str(neighbor)), beside(str(file.with_name("new"))), refused:
            claimed(str(file)).__enter__()

    def test_of_a_directory_keeps_others_from_the_files_in_it(self, file: Path):
        with claimed(str(file.parent)):
            for claim in (claimed(str(file)), beside(str(file.with_name("new")))):
                with pytest.raises(ConflictError, match=f"{file.parent}: another process of initctl is changing it"):
                    claim.__enter__()

    def test_of_a_file_keeps_others_from_its_directory(self, file: Path):
        with claimed(str(file)), pytest.raises(ConflictError):
            claimed(str(file.parent)).__enter__()

    def test_that_is_shared_excludes_only_one_that_is_not(self, file: Path):
        with claimed(str(file), is_shared=True), claimed(str(file), is_shared=True), pytest.raises(ConflictError):
            claimed(str(file)).__enter__()
