"""Room is taken before anything is computed; what can be shared with the source is, to the byte."""

from __future__ import annotations

import ctypes
import errno
import os
import shutil
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest
import torch
from safetensors.torch import save_file

import initctl
from initctl.commit import effects
from initctl.commit.reserving import check_space, reserve, share
from initctl.layout.ranges import ByteRange
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


RANGES = [(1, 10 * MEGABYTE + 1), (11 * MEGABYTE, 11 * MEGABYTE + 5), (12 * MEGABYTE - 7, 15 * MEGABYTE)]


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[tuple[int, int]]:
    """A file of 15 MB, and a hole of the same size."""
    (tmp_path / "source").write_bytes(os.urandom(15 * MEGABYTE))
    with (tmp_path / "source").open("rb") as source, (tmp_path / "copy").open("w+b") as copy:
        copy.truncate(15 * MEGABYTE)
        yield source.fileno(), copy.fileno()


def test_of_a_file_system_that_shares_only_whole_blocks_are_asked(
    pair: tuple[int, int], monkeypatch: pytest.MonkeyPatch
):
    """As Linux does, the stand-in refuses what does not begin and end with a block."""
    block = os.fstatvfs(pair[1]).f_bsize
    asked: list[tuple[int, int]] = []

    def shared(source: int, destination: int, start: int, stop: int) -> None:
        if start % block or stop % block:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        asked.append((start, stop))
        os.pwrite(destination, os.pread(source, stop - start, start), start)

    monkeypatch.setattr(effects, "share", shared)
    rest = share(*pair, RANGES)
    assert asked == [(block, 10 * MEGABYTE), (12 * MEGABYTE, 15 * MEGABYTE)]
    assert rest == [(1, block), (10 * MEGABYTE, 10 * MEGABYTE + 1), RANGES[1], (12 * MEGABYTE - 7, 12 * MEGABYTE)]
    for start, stop in rest:
        os.pwrite(pair[1], os.pread(pair[0], stop - start, start), start)
    for start, stop in RANGES:
        assert os.pread(pair[1], stop - start, start) == os.pread(pair[0], stop - start, start)


def test_a_file_system_that_once_refuses_to_share_is_not_asked_again(
    pair: tuple[int, int], monkeypatch: pytest.MonkeyPatch
):
    asked: list[tuple[int, int]] = []

    def refused(_: int, __: int, start: int, stop: int) -> None:
        asked.append((start, stop))
        raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))

    monkeypatch.setattr(effects, "share", refused)
    assert share(*pair, RANGES) == RANGES
    assert len(asked) == 1
    assert not any(os.pread(pair[1], 15 * MEGABYTE, 0))


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
        with pytest.raises(initctl.StorageError, match="16,773,120 bytes are needed, 8,384,512 are free"):
            initctl.apply(path, in_place="patch", rules=["w=normal"])
        assert not any(path.read_bytes()[len(header) :])


def test_a_file_system_that_cannot_share_leaves_all(tmp_path: Path):
    (tmp_path / "source").write_bytes(bytes(2 * MEGABYTE))
    with (tmp_path / "source").open("rb") as source, open("/dev/null", "wb") as nothing:
        ranges = [(0, 5), (7, 2 * MEGABYTE)]
        assert share(source.fileno(), nothing.fileno(), ranges) == ranges


@pytest.fixture
def ext4(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 MB that takes all that is free before it refuses to reserve more."""
    image, place = tmp_path / "image", tmp_path / "ext4"
    place.mkdir()
    if not shutil.which("mkfs.ext4"):
        pytest.skip("there is no mkfs.ext4")
    with image.open("wb") as stream:
        stream.truncate(64 * MEGABYTE)
    subprocess.run(["mkfs.ext4", "-q", image], check=True)
    if subprocess.run(["mount", "-o", "loop", image, place], check=False, capture_output=True).returncode:
        pytest.skip("nothing can be mounted here")
    try:
        yield place
    finally:
        subprocess.run(["umount", place], check=True)


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


@pytest.fixture
def descriptor(tmp_path: Path) -> Iterator[int]:
    """An empty file."""
    with (tmp_path / "file").open("wb") as stream:
        yield stream.fileno()


def holes(path: Path, size: int) -> Path:
    """A checkpoint with a tensor `w` of `size` bytes, which take no room, and a small one behind it."""
    entries = {"w": tensor("F32", [size // 4], [0, size]), "v": tensor("F32", [2], [size, size + 8])}
    header = safetensors_bytes(entries, b"")
    path.write_bytes(header)
    os.truncate(path, len(header) + size + 8)
    return path


def test_a_patch_keeps_holes(tmp_path: Path):
    path = holes(tmp_path / "model.safetensors", 8 << 30)
    initctl.apply(path, in_place="patch", rules=["v=ones"])
    assert initctl.verify(path, rules=["v=ones"])
    assert path.stat().st_blocks * 512 <= MEGABYTE


class TestTooLittleRoom:
    def test_is_told_before_anything_is_computed(self, small_disk: Path):
        with (small_disk / "file").open("wb") as stream:
            reserve(stream.fileno(), [ByteRange(0, MEGABYTE)], "out")
            with pytest.raises(initctl.StorageError) as raised:
                reserve(stream.fileno(), [ByteRange(MEGABYTE, 20 * MEGABYTE)], "out")
        assert str(raised.value) == (
            "out: cannot be written: No space left on device: 19,922,944 bytes are needed, 7,340,032 are free"
        )

    def test_for_all_shards_leaves_nothing(self, small_disk: Path, tmp_path: Path):
        folder = sharded(tmp_path / "model")
        with (folder / "weights.bin").open("wb") as stream:  # it goes along, and does not fit
            stream.truncate(9 * MEGABYTE)
        before = snapshot(folder)
        with pytest.raises(initctl.StorageError) as raised:
            initctl.apply(folder, small_disk / "out", rules=["norm.weight=ones"])
        assert f"{small_disk / 'out'}: cannot be written: No space left on device: 9,4" in str(raised.value)
        assert "8,388,608 are free" in str(raised.value)
        assert snapshot(folder) == before
        assert contents(small_disk) == {}

    def test_is_said_at_once_with_what_is_free_although_the_file_system_would_fill_up_first(
        self, ext4: Path, monkeypatch: pytest.MonkeyPatch
    ):
        monkeypatch.setattr(effects, "_function", lambda *_: pytest.fail("the disk is being filled"))
        save_file({"x.weight": torch.zeros(4, 1024)}, ext4 / "in.safetensors")
        free = shutil.disk_usage(ext4).free
        with pytest.raises(initctl.StorageError) as raised:
            initctl.apply(
                ext4 / "in.safetensors", ext4 / "out.safetensors", rows={"x.weight": 10**6}, rules=["*=zeros"]
            )
        assert f"4,096,000,096 bytes are needed, {free:,} are free" in str(raised.value)
        assert [path.name for path in ext4.glob("*.safetensors")] == ["in.safetensors"]

    @pytest.mark.parametrize("in_place", [False, True])
    def test_for_a_terabyte_of_holes_is_said_at_once_and_leaves_nothing(self, small_disk: Path, *, in_place: bool):
        path = holes(small_disk / "in.safetensors", 1 << 40)
        before, begin = path.stat(), time.process_time()
        with pytest.raises(
            initctl.StorageError, match=r"1,099,511,627,\d+ bytes are needed, 8,\d+,\d+ are free"
        ) as raised:
            initctl.apply(path, None if in_place else small_disk / "out", in_place=in_place, rules=["v=ones"])
        assert raised.value.exit_status == 5
        assert time.process_time() - begin < 1
        assert os.listdir(small_disk) == [path.name]
        after = path.stat()
        assert (after.st_ino, after.st_blocks, after.st_mtime_ns) == (
            before.st_ino,
            before.st_blocks,
            before.st_mtime_ns,
        )

    def test_for_a_patch_of_holes_takes_nothing(self, ext4: Path):
        path = holes(ext4 / "model.safetensors", 512 * MEGABYTE)
        before = path.stat().st_blocks
        with pytest.raises(initctl.StorageError, match="are free"):
            initctl.apply(path, in_place="patch", rules=["w=normal"])
        assert path.stat().st_blocks == before

    def test_for_a_file_that_no_file_system_holds_names_its_size(self, ext4: Path):
        save_file({"x.weight": torch.zeros(4, 1024)}, ext4 / "in.safetensors")
        with pytest.raises(initctl.StorageError, match=r"File too large: 4,096,000,000,000,104 bytes are needed$"):
            initctl.apply(
                ext4 / "in.safetensors", ext4 / "out.safetensors", rows={"x.weight": 10**12}, rules=["*=zeros"]
            )


def test_a_file_that_is_there_already_is_not_counted_again(small_disk: Path):
    path, size = small_disk / "model.safetensors", 5 * MEGABYTE
    path.write_bytes(safetensors_bytes({"w": tensor("F32", [size // 4], [0, size])}, bytes(size)))
    initctl.apply(path, in_place="patch", rules=["w=ones"])
    assert path.read_bytes()[-4:] == b"\0\0\x80\x3f"


def test_a_file_system_that_does_not_say_what_is_free_may_have_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    nothing = os.statvfs_result([4096, 4096, 0, 0, 0, 0, 0, 0, 0, 255])
    monkeypatch.setattr(os, "statvfs", lambda _: nothing)
    check_space(str(tmp_path), 1 << 60, "out")


def test_a_file_system_that_cannot_reserve_is_no_error(descriptor: int, monkeypatch: pytest.MonkeyPatch):
    def refuse(*_: int) -> int:
        ctypes.set_errno(errno.EOPNOTSUPP)
        return -1

    monkeypatch.setattr(effects, "_function", lambda *_: refuse)
    reserve(descriptor, [ByteRange(0, 10)], "out")
    monkeypatch.setattr(effects, "_function", lambda *_: None)
    reserve(descriptor, [ByteRange(0, 10)], "out")


@pytest.mark.parametrize("code", [errno.EDQUOT, errno.EFBIG, errno.ENOSPC])
def test_a_quota_a_limit_and_others_that_write_are_not_blamed_on_what_is_free(
    descriptor: int, monkeypatch: pytest.MonkeyPatch, code: int
):
    def refuse(*_: int) -> int:
        ctypes.set_errno(code)
        return -1

    monkeypatch.setattr(effects, "_function", lambda *_: refuse)
    with pytest.raises(
        initctl.StorageError, match=f"^out: cannot be written: {os.strerror(code)}: 10 bytes are needed$"
    ):
        reserve(descriptor, [ByteRange(0, 10)], "out")


def test_where_nothing_can_be_unshared_room_is_taken_all_the_same(descriptor: int, monkeypatch: pytest.MonkeyPatch):
    modes = []

    def answer(_: int, mode: int, *rest: int) -> int:
        modes.append(mode)
        ctypes.set_errno(errno.EOPNOTSUPP)
        return -1 if mode else 0

    monkeypatch.setattr(effects, "_function", lambda *_: answer)
    reserve(descriptor, [ByteRange(0, 10), ByteRange(20, 30)], "out", unshare=True)
    assert modes == [0x40, 0, 0]


def test_an_interrupted_call_is_made_again(descriptor: int, monkeypatch: pytest.MonkeyPatch):
    answers = [errno.EINTR, errno.EINTR, 0]

    def answer(*_: int) -> int:
        ctypes.set_errno(answers[0])
        return -1 if answers.pop(0) else 0

    monkeypatch.setattr(effects, "_function", lambda *_: answer)
    reserve(descriptor, [ByteRange(0, 10)], "out")
    assert answers == []


def test_writeback_is_asked_of_systems_that_have_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    asked: list[tuple[int, ...]] = []
    monkeypatch.setattr(effects, "_function", lambda *_: lambda *arguments: asked.append(arguments))
    effects.start_flush(7, 100, 250)
    assert asked == [(7, 100, 150, 2)]
    monkeypatch.setattr(effects, "_function", lambda *_: None)
    effects.start_flush(7, 100, 250)
    assert len(asked) == 1


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has the call")
def test_the_system_takes_the_request_for_writeback(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    answers: list[int] = []
    found = effects._function

    def answering(*asked: object) -> object:
        call = found(*asked)
        return lambda *arguments: answers.append(call(*arguments))

    monkeypatch.setattr(effects, "_function", answering)
    with (tmp_path / "file").open("wb") as stream:
        stream.write(bytes(3 * MEGABYTE))
        stream.flush()
        effects.start_flush(stream.fileno(), 4096, 4096 + MEGABYTE)
        effects.start_flush(stream.fileno(), -1, MEGABYTE)
    assert answers == [0, -1]
