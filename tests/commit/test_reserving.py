"""Room is taken before anything is computed; what can be shared with the source is, to the byte."""

from __future__ import annotations

import ctypes
import errno
import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

import initctl
from initctl.commit import copying, reserving
from initctl.commit.copying import start_writeback
from initctl.commit.reserving import reserve, share
from tests.bench.checkpoints import language_model
from tests.commit.folders import contents, snapshot
from tests.execution.checkpoints import sharded
from tests.formats.handwritten import safetensors_bytes, tensor

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MEGABYTE = 1 << 20


@pytest.fixture(params=["btrfs", "xfs"])
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """A file system of its own in which files can share blocks."""
    image, place = tmp_path / "image", tmp_path / "disk"
    place.mkdir()
    if not shutil.which(f"mkfs.{request.param}"):
        pytest.skip(f"there is no mkfs.{request.param}")
    with image.open("wb") as stream:
        stream.truncate(512 * MEGABYTE)
    subprocess.run([f"mkfs.{request.param}", "-q", image], check=True)
    if subprocess.run(["mount", "-o", "loop", image, place], check=False, capture_output=True).returncode:
        pytest.skip("nothing can be mounted here")
    try:
        yield place
    finally:
        subprocess.run(["umount", place], check=True)


def used(place: Path) -> int:
    """Bytes taken on a file system, once all is on the disk."""
    os.sync()
    status = os.statvfs(place)
    return (status.f_blocks - status.f_bfree) * status.f_frsize


def test_whole_blocks_are_shared_and_edges_are_left(disk: Path):
    content = os.urandom(40 * MEGABYTE)
    (disk / "source").write_bytes(content)
    before = used(disk)
    ranges = [(1, 10 * MEGABYTE + 1), (11 * MEGABYTE, 11 * MEGABYTE + 5), (20 * MEGABYTE - 7, 40 * MEGABYTE)]
    with (disk / "source").open("rb") as source, (disk / "copy").open("w+b") as copy:
        copy.truncate(40 * MEGABYTE)
        rest = share(source.fileno(), copy.fileno(), ranges)
        assert rest == [
            (1, 4096), (10 * MEGABYTE, 10 * MEGABYTE + 1), (11 * MEGABYTE, 11 * MEGABYTE + 5),
            (20 * MEGABYTE - 7, 20 * MEGABYTE),
        ]  # fmt: skip
        shared = copy.read()
    assert used(disk) - before < 2 * MEGABYTE
    assert shared[4096 : 10 * MEGABYTE] == content[4096 : 10 * MEGABYTE]
    assert shared[20 * MEGABYTE :] == content[20 * MEGABYTE :]
    assert not any(shared[10 * MEGABYTE : 20 * MEGABYTE])


def test_an_output_takes_the_room_of_what_is_ruled(disk: Path):
    source = language_model(disk / "in.safetensors", 270 * 10**6)  # half of the disk: a second copy would not fit
    before = used(disk)
    applied = initctl.apply(source, disk / "out.safetensors", rules=["*embed_tokens.weight=zeros"])
    ruled = applied.plan.initialized.bytes
    assert used(disk) - before < ruled + 10 * MEGABYTE
    old, new = source.read_bytes(), (disk / "out.safetensors").read_bytes()
    tensor = applied.plan.actions[0].tensor
    assert new == old[: tensor.blocks[0].offset] + bytes(tensor.nbytes) + old[tensor.blocks[0].offset + tensor.nbytes :]


class TestAPatch:
    RULES = ("w=normal",)

    def test_of_a_file_that_shares_its_blocks_changes_that_file_alone(self, disk: Path):
        source, size = disk / "in.safetensors", 16 * MEGABYTE
        table = {"v": tensor("U8", [size], [0, size]), "w": tensor("F32", [size // 4], [size, 2 * size])}
        source.write_bytes(safetensors_bytes(table, os.urandom(2 * size)))
        initctl.apply(source, disk / "expected.safetensors", rules=self.RULES)
        subprocess.run(["cp", "--reflink=always", source, disk / "copy.safetensors"], check=True)
        before = source.read_bytes()
        initctl.apply(disk / "copy.safetensors", in_place="patch", rules=self.RULES)
        assert source.read_bytes() == before
        assert (disk / "copy.safetensors").read_bytes() == (disk / "expected.safetensors").read_bytes()

    def test_that_would_fill_the_disk_changes_nothing(self, small_disk: Path):
        path, size = small_disk / "model.safetensors", 16 * MEGABYTE
        header = safetensors_bytes({"w": tensor("F32", [size // 4], [0, size])}, b"")
        with path.open("wb") as stream:
            stream.write(header)
            stream.truncate(len(header) + size)  # a hole: it takes no room yet
        with pytest.raises(initctl.StorageError, match="No space left on device: 16,777,216 bytes are needed"):
            initctl.apply(path, in_place="patch", rules=["w=normal"])
        assert not any(path.read_bytes()[len(header) :])


def test_a_file_system_that_cannot_share_leaves_all(tmp_path: Path):
    (tmp_path / "source").write_bytes(bytes(2 * MEGABYTE))
    with (tmp_path / "source").open("rb") as source, open("/dev/null", "wb") as nothing:
        ranges = [(0, 5), (7, 2 * MEGABYTE)]
        assert share(source.fileno(), nothing.fileno(), ranges) == ranges


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 8 MB."""
    place = tmp_path / "small"
    place.mkdir()
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=8m", "none", place], check=False, capture_output=True
    ).returncode:
        pytest.skip("nothing can be mounted here")
    try:
        yield place
    finally:
        subprocess.run(["umount", place], check=True)


class TestTooLittleRoom:
    def test_is_told_before_anything_is_computed(self, small_disk: Path):
        with (small_disk / "file").open("wb") as stream:
            reserve(stream.fileno(), [(0, MEGABYTE)], "out")
            with pytest.raises(initctl.StorageError) as raised:
                reserve(stream.fileno(), [(MEGABYTE, 20 * MEGABYTE)], "out")
        assert str(raised.value) == (
            "out: cannot be written: No space left on device: 19,922,944 bytes are needed, 7,340,032 are free"
        )

    def test_for_all_shards_leaves_nothing(self, small_disk: Path, tmp_path: Path):
        folder = sharded(tmp_path / "model")
        with (folder / "weights.bin").open("wb") as stream:  # it goes along, and does not fit
            stream.truncate(9 * MEGABYTE)
        before = snapshot(folder)
        with pytest.raises(
            initctl.StorageError, match=r"weights.bin: cannot be written: No space left on device: 9,437,184"
        ):
            initctl.apply(folder, small_disk / "out", rules=["norm.weight=ones"])
        assert snapshot(folder) == before
        assert contents(small_disk) == {}


def test_a_file_system_that_cannot_reserve_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def refuse(*_: int) -> int:
        ctypes.set_errno(errno.EOPNOTSUPP)
        return -1

    monkeypatch.setattr(reserving, "_fallocate", lambda: refuse)
    reserve(-1, [(0, 10)], "out")
    monkeypatch.setattr(reserving, "_fallocate", lambda: None)
    reserve(-1, [(0, 10)], "out")


@pytest.mark.parametrize("code", [errno.EDQUOT, errno.EFBIG])
def test_a_quota_or_a_limit_is_told_without_what_is_free(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int):
    def refuse(*_: int) -> int:
        ctypes.set_errno(code)
        return -1

    monkeypatch.setattr(reserving, "_fallocate", lambda: refuse)
    with pytest.raises(
        initctl.StorageError, match=f"^out: cannot be written: {os.strerror(code)}: 10 bytes are needed$"
    ):
        reserve(-1, [(0, 10)], "out")


def test_where_nothing_can_be_unshared_room_is_taken_all_the_same(monkeypatch: pytest.MonkeyPatch):
    modes = []

    def answer(_: int, mode: int, *rest: int) -> int:
        modes.append(mode)
        ctypes.set_errno(errno.EOPNOTSUPP)
        return -1 if mode else 0

    monkeypatch.setattr(reserving, "_fallocate", lambda: answer)
    reserve(-1, [(0, 10), (20, 30)], "out", unshare=True)
    assert modes == [0x40, 0, 0]


def test_an_interrupted_call_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    answers = [errno.EINTR, errno.EINTR, 0]

    def answer(*_: int) -> int:
        ctypes.set_errno(answers[0])
        return -1 if answers.pop(0) else 0

    monkeypatch.setattr(reserving, "_fallocate", lambda: answer)
    reserve(-1, [(0, 10)], "out")
    assert answers == []


def test_writeback_is_asked_of_systems_that_have_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    asked: list[tuple[int, ...]] = []
    monkeypatch.setattr(copying, "_sync_file_range", lambda: lambda *arguments: asked.append(arguments))
    start_writeback(7, 100, 250)
    assert asked == [(7, 100, 150, 2)]
    monkeypatch.setattr(copying, "_sync_file_range", lambda: None)
    start_writeback(7, 100, 250)
    assert len(asked) == 1


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has the call")
def test_the_system_takes_the_request_for_writeback(tmp_path: Path):
    with (tmp_path / "file").open("wb") as stream:
        stream.write(bytes(3 * MEGABYTE))
        stream.flush()
        call = copying._sync_file_range()
        assert call(stream.fileno(), 4096, MEGABYTE, copying._SYNC_FILE_RANGE_WRITE) == 0
        assert call(stream.fileno(), -1, MEGABYTE, copying._SYNC_FILE_RANGE_WRITE) == -1
