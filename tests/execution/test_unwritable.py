"""Places that a file system does not let be changed: it is said of which path, and everything is as it was."""

from __future__ import annotations

import fcntl
import os
import struct
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

import initctl
from initctl.events import Progress
from tests.binding import bound
from tests.commit.folders import snapshot
from tests.execution.checkpoints import sharded, single
from tests.nobody import nobody

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

RULES = ["*.weight=zeros"]
OTHER = 1234
"""The number of a user who is neither root nor the one who runs initctl."""
GET_FLAGS, SET_FLAGS, IMMUTABLE = 0x80086601, 0x40086602, 0x10
"""Of ioctl(2) on a file of Linux."""
PLACES = ("in place", "patched", "output")
NO_NEW = "initctl makes a new file in {0}, and that directory is not writable"


def refuse(source: Path, target: Path, how: str, reason: str, *, path: Path | None = None) -> list[object]:
    """`source` is not written to `target`, for the `reason` of the system at `path`. Returns the events of the run."""
    given = (source, target, False) if how == "output" else (target, None, "patch" if how == "patched" else True)
    events: list[object] = []
    before = snapshot(target.parent)
    with pytest.raises(initctl.StorageError) as raised:
        initctl.apply(*given[:2], in_place=given[2], rules=RULES, on_event=events.append)
    (problem,) = raised.value.problems
    assert raised.value.exit_status == 5
    assert problem.message == f"{path or target}: cannot be written: {reason}"
    assert snapshot(target.parent) == before
    return events


@contextmanager
def immutable(path: Path) -> Iterator[None]:
    """Nobody can change the file or directory in the body, as after `chattr +i`. The test is skipped if the file system
    has no such thing, or if not everybody may use it.
    """
    descriptor = os.open(path, os.O_RDONLY)
    try:
        (flags,) = struct.unpack("L", fcntl.ioctl(descriptor, GET_FLAGS, bytes(8)))
        fcntl.ioctl(descriptor, SET_FLAGS, struct.pack("L", flags | IMMUTABLE))
    except OSError:
        os.close(descriptor)
        pytest.skip("nothing can be made immutable here")
    try:
        yield
    finally:
        fcntl.ioctl(descriptor, SET_FLAGS, struct.pack("L", flags))
        os.close(descriptor)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return single(tmp_path / "source.safetensors")


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return single(tmp_path / "place" / "model.safetensors")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return sharded(tmp_path / "place" / "model")


@pytest.mark.parametrize("how", PLACES)
class TestAFile:
    def test_that_is_immutable(self, source: Path, target: Path, how: str):
        with immutable(target):
            refuse(source, target, how, "Operation not permitted")

    def test_on_a_read_only_mount(self, source: Path, target: Path, how: str):
        with bound(target.parent, target.parent, read_only=True):
            events = refuse(source, target, how, "Read-only file system")
        assert not any(isinstance(event, Progress) for event in events)

    def test_of_another_user_in_a_sticky_directory(self, open_folder: Path, source: Path, how: str):
        """As in /tmp: everybody may make files there, and replace their own."""
        if os.geteuid() != 0:
            pytest.skip("only root can make files of two users")
        initctl.apply(source, in_place=True, rules=RULES)  # only root may read what it imports
        mine, theirs = single(open_folder / "mine"), single(open_folder / "theirs")
        for path, user in ((mine, 65534), (theirs, OTHER), (open_folder, OTHER)):
            os.chown(path, user, -1)
        theirs.chmod(0o644)
        open_folder.chmod(0o1777)
        with nobody():
            refuse(mine, theirs, how, "Permission denied" if how == "patched" else "Operation not permitted")


@pytest.mark.parametrize("how", ["in place", "output"])
class TestADirectory:
    def test_that_is_immutable_takes_no_new_file(self, source: Path, target: Path, how: str):
        place = target if how == "in place" else target.with_name("new.safetensors")
        with immutable(target.parent):
            events = refuse(source, place, how, NO_NEW.format(target.parent))
        assert not any(isinstance(event, Progress) for event in events)

    def test_of_shards_that_is_immutable(self, tmp_path: Path, folder: Path, how: str):
        with immutable(folder):
            refuse(sharded(tmp_path / "in"), folder, how, "Operation not permitted")

    def test_of_shards_on_a_read_only_mount(self, tmp_path: Path, folder: Path, how: str):
        with bound(folder.parent, folder.parent, read_only=True):
            events = refuse(sharded(tmp_path / "in"), folder, how, "Read-only file system")
        assert not any(isinstance(event, Progress) for event in events)

    def test_of_shards_of_another_user_in_a_sticky_directory(self, open_folder: Path, source: Path, how: str):
        if os.geteuid() != 0:
            pytest.skip("only root can make files of two users")
        initctl.apply(source, in_place=True, rules=RULES)
        mine, theirs = sharded(open_folder / "mine"), sharded(open_folder / "theirs")
        for path, user in ((mine, 65534), (theirs, OTHER), (open_folder, OTHER)):
            os.chown(path, user, -1)
        for path in (*mine.rglob("*"), *theirs.rglob("*"), theirs):
            path.chmod(0o777 if path.is_dir() else 0o666)
        open_folder.chmod(0o1777)
        with nobody():
            refuse(mine, theirs, how, "Operation not permitted")


def test_an_immutable_file_beside_the_shards_that_change_is_named(folder: Path):
    kept = folder / "config.json"
    with immutable(kept):
        refuse(folder, folder, "in place", "Operation not permitted", path=kept)
