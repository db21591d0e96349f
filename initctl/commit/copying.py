"""Bytes from one open file to another, moved by the kernel where it can."""

from __future__ import annotations

import os

from initctl.errors import ConflictError, Problem, StorageError

_READ_AT_ONCE = 1 << 20
"""Bytes that pass through memory at a time where the kernel cannot copy."""


def copy_range(source: int, destination: int, start: int, stop: int, offset: int) -> None:
    """Copy the bytes from `start` to `stop` of descriptor `source` to `offset` of `destination`.

    Raises `ConflictError` where the source ends before `stop`, `StorageError` where it cannot be read, and `OSError`
    where writing fails.
    """
    reached = _copy_in_kernel(source, destination, start, stop, offset)
    while reached < stop:
        data = read_some(source, reached, min(reached + _READ_AT_ONCE, stop))
        write_all(destination, data, offset + reached - start)
        reached += len(data)


def read_some(source: int, start: int, stop: int) -> bytes:
    """Bytes of descriptor `source` from `start`, at least one and none from `stop` on.

    Raises `ConflictError` if the source ends before, `StorageError` if it cannot be read.
    """
    try:
        data = os.pread(source, stop - start, start)
    except OSError as error:
        raise _unreadable(error) from error
    if not data:
        raise _shorter()
    return data


def read_into(source: int, room: memoryview, offset: int) -> None:
    """Fill `room` with the bytes of descriptor `source` from `offset` on.

    Raises `ConflictError` if the source ends before, `StorageError` if it cannot be read.
    """
    while room:
        try:
            length = os.preadv(source, [room], offset)
        except OSError as error:
            raise _unreadable(error) from error
        if not length:
            raise _shorter()
        room = room[length:]
        offset += length


def write_all(destination: int, data: bytes | memoryview, offset: int) -> None:
    """Write all of `data` at `offset`, however little the system takes at a time."""
    rest = memoryview(data).cast("B")
    while rest:
        written = os.pwrite(destination, rest, offset)
        rest = rest[written:]
        offset += written


def _copy_in_kernel(source: int, destination: int, start: int, stop: int, offset: int) -> int:
    """How far the kernel copied: to `stop`, unless it cannot copy between these files, or something failed.

    It does not say which side failed. Reading and writing the rest does, where the fault remains.
    """
    if not hasattr(os, "copy_file_range"):
        return start
    while start < stop:
        try:
            copied = os.copy_file_range(source, destination, stop - start, start, offset)
        except OSError:
            break
        if copied == 0:
            break
        start += copied
        offset += copied
    return start


def _unreadable(error: OSError) -> StorageError:
    return StorageError(Problem("input.unreadable", f"the checkpoint cannot be read: {error.strerror}"))


def _shorter() -> ConflictError:
    return ConflictError(Problem("input.changed", "the checkpoint became shorter while it was read"))
