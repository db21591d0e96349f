"""Disk space, taken before anything is computed: shared with the source if possible, else reserved if it is there."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Sequence

from initctl.commit import effects
from initctl.errors import Problem, StorageError, shown
from initctl.layout.ranges import ByteRange, total

_SHARED_FROM = 1 << 20
"""Ranges of fewer bytes are not shared: it is not worth a system call."""
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_SECTOR = 512
"""Bytes of a block in `st_blocks`, on every system."""


def share(source: int, destination: int, ranges: Iterable[ByteRange]) -> list[ByteRange]:
    """Let `destination` share the bytes of `ranges` with `source`. Returns the ranges that could not be shared.

    The file system may not support sharing, and can share only whole blocks. So the edges of a range are left over.
    """
    rest: list[ByteRange] = []
    block = os.fstatvfs(destination).f_bsize
    can_share = True
    for start, stop in ranges:
        first, last = -(-start // block) * block, stop // block * block
        can_share = can_share and (last - first < _SHARED_FROM or _cloned(source, destination, first, last))
        if can_share and last - first >= _SHARED_FROM:
            rest += [ByteRange(start, first), ByteRange(last, stop)]
        else:
            rest.append(ByteRange(start, stop))
    return [found for found in rest if found.start < found.stop]


def set_size(descriptor: int, size: int, path: str) -> None:
    """Make a new file `size` bytes long: a hole, which takes no space yet.

    Raises a `StorageError` that names `path` if no file can be so large.
    """
    try:
        effects.set_size(descriptor, size)
    except OSError as error:
        if error.errno in _FULL:
            raise _full(size, None, path, error.errno) from error
        raise


def check_space(place: str | int, needed: int, path: str) -> None:
    """Raise a `StorageError` that names `path` if fewer than `needed` bytes are free at `place`, a directory or a
    descriptor.

    `reserve` would find out too, but may take all that is free before it fails.
    """
    free = _free(place)
    if free is not None and free < needed:
        raise _full(needed, free, path, errno.ENOSPC)


def reserve(descriptor: int, ranges: Sequence[ByteRange], path: str, *, unshare: bool = False) -> None:
    """Reserve disk space for the bytes of `ranges`, if the file system can. With `unshare`, for shared blocks too.

    Raises a `StorageError` that names `path` if there is not enough space.
    """
    free = _free(descriptor)
    for start, stop in ranges:
        while True:
            try:
                effects.allocate(descriptor, start, stop - start, unshare=unshare)
            except OSError as error:
                if error.errno in _FULL:
                    raise _full(total(ranges), free, path, error.errno) from error
                if error.errno == errno.EOPNOTSUPP and unshare:
                    unshare = False
                elif error.errno != errno.EINTR:  # the file system cannot reserve: a write reports a full disk
                    return
            else:
                break


def held(descriptor: int) -> int:
    """The bytes that a file takes on the disk: fewer than its size if it has holes."""
    return os.fstat(descriptor).st_blocks * _SECTOR


def _free(place: str | int) -> int | None:
    """The bytes that are free at `place`, as `df` reports them, without those that are left to the system; None if the
    file system does not say.
    """
    status = os.statvfs(place)
    return status.f_bavail * status.f_frsize if status.f_blocks else None


def _full(needed: int, free: int | None, path: str, code: int) -> StorageError:
    """The error for a lack of space. It says what was `free` at first, if that was too little: a quota or a limit may
    be the reason, or another process that writes.
    """
    message = f"{shown(path)}: cannot be written: {os.strerror(code)}: {needed:,} bytes are needed"
    if code == errno.ENOSPC and free is not None and free < needed:
        message += f", {free:,} are free"
    return StorageError(Problem("storage.space", message))


def _cloned(source: int, destination: int, start: int, stop: int) -> bool:
    try:
        effects.share(source, destination, start, stop)
    except OSError:
        return False
    return True
