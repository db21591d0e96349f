"""A range of bytes reaches the same place of another file, whoever moves it, or an error tells which side failed."""

from __future__ import annotations

import errno
import os
import random
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from initctl.commit.copying import copy_range, write_all, write_over_zeros
from initctl.commit.failure import ReadError
from tests.commit.folders import refusing

if TYPE_CHECKING:
    from collections.abc import Iterator

MIB = 1 << 20
SIZE = 2 * MIB + 4321
CONTENT = random.Random(1).randbytes(SIZE)
RANGES = [(0, SIZE), (0, 0), (5, 5), (0, 1), (SIZE - 1, SIZE), (3, 3 + MIB), (MIB - 1, 2 * MIB + 1), (7, SIZE - 7)]
SHARED_MEMORY = Path("/dev/shm")

in_kernel = pytest.param(lambda patch: None, id="in-kernel")
without_the_call = pytest.param(lambda patch: patch.delattr(os, "copy_file_range", raising=False), id="no-such-call")
ANSWERS = [
    errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM, errno.EBADF, errno.EINTR, errno.EIO,
]  # fmt: skip
refused = [
    pytest.param(
        lambda patch, code=code: patch.setattr(os, "copy_file_range", refusing(code), raising=False),
        id=errno.errorcode[code],
    )
    for code in ANSWERS
]
ends_early = pytest.param(
    lambda patch: patch.setattr(os, "copy_file_range", lambda *_: 0, raising=False), id="copies-nothing"
)


@contextmanager
def two_files(folder: Path, content: bytes = CONTENT, *, reading: int = os.O_RDONLY) -> Iterator[tuple[int, int]]:
    """A source that holds `content`, and a destination of as many bytes 0xff."""
    (folder / "source").write_bytes(content)
    (folder / "destination").write_bytes(b"\xff" * len(content))
    source, destination = os.open(folder / "source", reading), os.open(folder / "destination", os.O_RDWR)
    try:
        yield source, destination
    finally:
        os.close(source)
        os.close(destination)


@pytest.mark.parametrize("system", [in_kernel, without_the_call, *refused, ends_early])
@pytest.mark.parametrize(("start", "stop"), RANGES)
@pytest.mark.parametrize("shift", [0, -1, 5, MIB])
def test_the_range_is_copied_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, system, start: int, stop: int, shift: int
):
    system(monkeypatch)
    offset = max(0, min(start + shift, SIZE - (stop - start)))
    with two_files(tmp_path) as (source, destination):
        copy_range(source, destination, start, stop, offset)
    expected = b"\xff" * offset + CONTENT[start:stop] + b"\xff" * (SIZE - offset - (stop - start))
    assert (tmp_path / "destination").read_bytes() == expected


def test_a_kernel_that_gives_up_midway_is_helped_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    if not hasattr(os, "copy_file_range"):
        pytest.skip("no copy_file_range here")
    real, calls = os.copy_file_range, []

    def giving_up(source: int, destination: int, count: int, *offsets: int) -> int:
        calls.append(count)
        if len(calls) == 4:
            raise OSError(errno.EXDEV, "midway")
        return real(source, destination, min(count, 1000), *offsets)

    monkeypatch.setattr(os, "copy_file_range", giving_up)
    with two_files(tmp_path) as (source, destination):
        copy_range(source, destination, 0, SIZE, 0)
    assert calls == [SIZE, SIZE - 1000, SIZE - 2000, SIZE - 3000]
    assert (tmp_path / "destination").read_bytes() == CONTENT


@pytest.mark.skipif(not SHARED_MEMORY.is_dir(), reason="no second file system")
def test_bytes_cross_from_one_file_system_to_another(tmp_path: Path):
    other = SHARED_MEMORY / f"initctl-test-{os.getpid()}"
    (tmp_path / "source").write_bytes(CONTENT)
    source, destination = os.open(tmp_path / "source", os.O_RDONLY), os.open(other, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        copy_range(source, destination, 0, SIZE, 0)
        assert other.read_bytes() == CONTENT
    finally:
        os.close(source)
        os.close(destination)
        other.unlink()


def test_a_file_of_holes_is_copied_as_zeros(tmp_path: Path):
    with two_files(tmp_path, b"") as (source, destination):
        os.truncate(tmp_path / "source", SIZE)
        copy_range(source, destination, 0, SIZE, 0)
    assert (tmp_path / "destination").read_bytes() == bytes(SIZE)


@pytest.mark.parametrize("system", [in_kernel, without_the_call])
def test_a_source_that_became_shorter_is_the_side_that_failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, system):
    system(monkeypatch)
    with two_files(tmp_path) as (source, destination):
        os.truncate(tmp_path / "source", SIZE - 1)
        with pytest.raises(ReadError, match="became shorter") as raised:
            copy_range(source, destination, 0, SIZE, 0)
        assert (raised.value.descriptor, raised.value.is_short) == (source, True)


def test_a_source_that_cannot_be_read_is_the_side_that_failed(tmp_path: Path):
    with two_files(tmp_path, reading=os.O_WRONLY) as (source, destination):
        with pytest.raises(ReadError, match="Bad file descriptor") as raised:
            copy_range(source, destination, 0, SIZE, 0)
        assert (raised.value.descriptor, raised.value.is_short) == (source, False)


@pytest.mark.parametrize("system", [in_kernel, without_the_call])
def test_a_destination_that_cannot_be_written_is_the_systems_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, system
):
    system(monkeypatch)
    with two_files(tmp_path) as (source, _):
        destination = os.open(tmp_path / "destination", os.O_RDONLY)
        with pytest.raises(OSError, match="Bad file descriptor") as raised:
            copy_range(source, destination, 0, SIZE, 0)
        assert not isinstance(raised.value, ReadError)
        os.close(destination)


@pytest.mark.parametrize("at_a_time", range(1, 8))
def test_a_system_that_takes_few_bytes_at_a_time_gets_them_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at_a_time: int
):
    real = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda fd, data, offset: real(fd, data[:at_a_time], offset))
    monkeypatch.delattr(os, "copy_file_range", raising=False)
    content = CONTENT[:1000]
    with two_files(tmp_path, content) as (source, destination):
        copy_range(source, destination, 10, 990, 10)
        write_all(destination, memoryview(b"abcdefghij"), 0)
    assert (tmp_path / "destination").read_bytes() == b"abcdefghij" + content[10:990] + b"\xff" * 10


def test_items_wider_than_a_byte_are_written_whole(tmp_path: Path):
    wide = memoryview(b"0123456789abcdef").cast("I")
    with two_files(tmp_path, bytes(20)) as (_, destination):
        write_all(destination, wide, 2)
    assert (tmp_path / "destination").read_bytes() == b"\xff\xff0123456789abcdef\xff\xff"


@pytest.mark.parametrize("place", [0, 4095, 4096, 9999])
def test_a_piece_with_one_byte_that_is_not_zero_is_written_over_zeros(tmp_path: Path, place: int):
    piece = np.zeros(10_000, np.uint8)
    piece[place] = 1
    with open(tmp_path / "new", "w+b") as file:
        file.truncate(20_000)
        write_over_zeros(file.fileno(), piece, 5_000)
    assert (tmp_path / "new").read_bytes() == bytes(5_000) + piece.tobytes() + bytes(5_000)


@pytest.mark.parametrize("length", [0, 1, MIB])
def test_a_piece_of_zeros_takes_no_writing_over_zeros(tmp_path: Path, length: int):
    with open(tmp_path / "new", "w+b") as file:
        file.truncate(SIZE)
        write_over_zeros(file.fileno(), np.zeros(length, np.uint8), 4321)
        assert os.fstat(file.fileno()).st_blocks == 0
    assert (tmp_path / "new").read_bytes() == bytes(SIZE)
