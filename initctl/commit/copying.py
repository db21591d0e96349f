"""Copy bytes from one open file to another, by the kernel if possible, and send them to the disk."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from initctl.commit import effects
from initctl.commit.failure import ReadError
from initctl.stores.descriptors import Fetched

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_READ_AT_ONCE = 1 << 20
"""Bytes that are copied through memory at a time if the kernel cannot copy."""
_FETCHED_AT_ONCE = 16 << 20
"""The same of an object in a store, which takes its time to answer."""
_PROBED = 4 << 10
"""Bytes that are checked first: most pieces that are not zero differ from zero there."""


def copy_range(source: int, destination: int, start: int, stop: int, offset: int) -> None:
    """Copy the bytes from `start` to `stop` of descriptor `source` to `offset` of `destination`.

    Raises `ReadError` if the source ends before `stop` or cannot be read, and `OSError` if writing fails.
    """
    reached = _copy_in_kernel(source, destination, start, stop, offset)
    at_once = _FETCHED_AT_ONCE if isinstance(source, Fetched) else _READ_AT_ONCE
    room = memoryview(bytearray(min(at_once, stop - reached)))
    while reached < stop:
        part = room[: stop - reached]
        read_into(source, part, reached)
        write_all(destination, part, offset + reached - start)
        reached += len(part)


def read_into(source: int, room: memoryview, offset: int) -> None:
    """Fill `room` with the bytes of descriptor `source`, starting at `offset`. Raises `ReadError`, or what the store of
    the source raises.
    """
    if isinstance(source, Fetched):
        source.read_into(room, offset)
        return
    while room:
        try:
            length = os.preadv(source, [room], offset)
        except OSError as error:
            raise ReadError(source, error) from error
        if not length:
            raise ReadError(source)
        room = room[length:]
        offset += length


def write_all(destination: int, data: bytes | memoryview, offset: int) -> None:
    """Write all of `data` at `offset`, in several calls if the system accepts only a part at a time."""
    rest = memoryview(data).cast("B")
    while rest:
        written = effects.write(destination, rest, offset)
        rest = rest[written:]
        offset += written


def write_over_zeros(destination: int, data: NDArray[np.uint8], offset: int) -> None:
    """Write `data` at `offset` of a range that reads as zeros. If `data` is all zeros, write nothing."""
    if data[:_PROBED].max(initial=0) or data[_PROBED:].max(initial=0):
        write_all(destination, data.data, offset)


def _copy_in_kernel(source: int, destination: int, start: int, stop: int, offset: int) -> int:
    """How far the kernel copied: to `stop`, unless it cannot copy between these files, or something failed.

    The kernel does not say whether reading or writing failed. Copying the rest through memory does, if it fails again.
    """
    while start < stop:
        try:
            copied = effects.copy(source, destination, stop - start, start, offset)
        except OSError:
            break
        if copied == 0:
            break
        start += copied
        offset += copied
    return start
