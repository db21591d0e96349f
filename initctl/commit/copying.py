"""Bytes from one open file to the same place in another, moved by the kernel where it can."""

from __future__ import annotations

import os

from initctl.errors import ConflictError, Problem, StorageError

_READ_AT_ONCE = 1 << 20
"""Bytes that pass through memory at a time where the kernel cannot copy."""


def copy_range(source: int, destination: int, start: int, stop: int) -> None:
    """Copy the bytes from `start` to `stop` of descriptor `source` to the same place of `destination`.

    Raises `ConflictError` where the source ends before `stop`, `StorageError` where it cannot be read, and `OSError`
    where writing fails.
    """
    reached = _copy_in_kernel(source, destination, start, stop)
    while reached < stop:
        data = _read(source, reached, min(reached + _READ_AT_ONCE, stop))
        if not data:
            raise ConflictError(Problem("input.changed", "the checkpoint became shorter while it was read"))
        write_all(destination, data, reached)
        reached += len(data)


def write_all(destination: int, data: bytes | memoryview, offset: int) -> None:
    """Write all of `data` at `offset`, however little the system takes at a time."""
    rest = memoryview(data).cast("B")
    while rest:
        written = os.pwrite(destination, rest, offset)
        rest = rest[written:]
        offset += written


def _read(source: int, start: int, stop: int) -> bytes:
    try:
        return os.pread(source, stop - start, start)
    except OSError as error:
        message = f"the checkpoint cannot be read: {error.strerror}"
        raise StorageError(Problem("input.unreadable", message)) from error


def _copy_in_kernel(source: int, destination: int, start: int, stop: int) -> int:
    """How far the kernel copied: to `stop`, unless it cannot copy between these files, or something failed.

    It does not say which side failed. Reading and writing the rest does, where the fault remains.
    """
    if not hasattr(os, "copy_file_range"):
        return start
    while start < stop:
        try:
            copied = os.copy_file_range(source, destination, stop - start, start, start)
        except OSError:
            break
        if copied == 0:
            break
        start += copied
    return start
