"""Bytes from one open file to the same place in another, moved by the kernel where it can."""

from __future__ import annotations

import errno
import os

from initctl.errors import ConflictError, Problem

_READ_AT_ONCE = 1 << 20
"""Bytes that pass through memory at a time where the kernel cannot copy."""
_CANNOT_COPY = {errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM, errno.EBADF}
"""What `copy_file_range` answers for file systems and kernels that lack it."""


def copy_range(source: int, destination: int, start: int, stop: int) -> None:
    """Copy the bytes from `start` to `stop` of descriptor `source` to the same place of `destination`.

    Raises `ConflictError` where the source ends before `stop`, and `OSError` where reading or writing fails.
    """
    reached = _copy_in_kernel(source, destination, start, stop)
    while reached < stop:
        data = os.pread(source, min(_READ_AT_ONCE, stop - reached), reached)
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


def _copy_in_kernel(source: int, destination: int, start: int, stop: int) -> int:
    """How far the kernel copied: to `stop`, unless it cannot copy between these files."""
    if not hasattr(os, "copy_file_range"):
        return start
    while start < stop:
        try:
            copied = os.copy_file_range(source, destination, stop - start, start, start)
        except OSError as error:
            if error.errno in _CANNOT_COPY:
                break
            raise
        if copied == 0:
            break
        start += copied
    return start
