"""CRC-32 checksums that a file holds of its own content: checked, updated, and suspended during a patch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, NoReturn

from isal import isal_zlib

from initctl.commit.copying import read_into, write_all
from initctl.errors import InputError, Problem, shown
from initctl.layout.ranges import ByteRange, common, joined, uncovered
from initctl.workers import Task

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from initctl.formats import Checksum

_READ_AT_ONCE = 256 << 10
"""Bytes that stay in a core's cache between reading and summing."""
_SUMMED_AT_ONCE = 16 << 20
"""Bytes that one thread sums at a time."""
_WIDTH = 4
"""Bytes of a CRC-32."""
_NONE = b"\xff" * _WIDTH
"""Represents a checksum of 0 while a patch is unfinished."""


def check_task(
    checksum: Checksum, opened: Callable[[], AbstractContextManager[int]], fail: Callable[[int | None], object]
) -> Task:
    """A task that compares `checksum` with the content of a file, which it opens by `opened`.

    Calls `fail` with the right checksum if they differ, or with None if a patch is unfinished.
    """

    def check() -> None:
        with opened() as source:
            found = None if checksum.unfinished else crc32(source, checksum.start, checksum.stop)
        if found != checksum.value:
            fail(found)

    return Task(checksum.stop - checksum.start, check, checksum.start)


class Sums:
    """The checksums of pieces of a file, computed while they are written, so that they need not be read again."""

    def __init__(self) -> None:
        self._pieces: dict[int, tuple[int, int]] = {}
        """The end and the checksum of each piece, by its start."""

    def add(self, start: int, content: memoryview) -> None:
        """Add `content`, which is final, at `start` of the file. Safe to call from several threads."""
        self._pieces[start] = (start + content.nbytes, isal_zlib.crc32(content))

    def note(self, start: int, stop: int, value: int) -> None:
        """Add the piece from `start` to `stop`, whose checksum is `value`."""
        self._pieces[start] = (stop, value)

    def gaps(self, ranges: Sequence[ByteRange]) -> list[ByteRange]:
        """What of `ranges`, which are sorted and disjoint, is in no piece."""
        known = joined(ByteRange(begin, end) for begin, (end, _) in self._pieces.items())
        return common(uncovered(ranges[-1].stop, known), ranges)

    def of(self, start: int, stop: int) -> int | None:
        """The checksum of a range, if pieces cover it exactly."""
        value = 0
        while start < stop:
            if start not in self._pieces:
                return None
            end, added = self._pieces[start]
            value, start = isal_zlib.crc32_combine(value, added, end - start), end
        return value if start == stop else None

    def known(self, source: int, start: int, stop: int) -> int:
        """The checksum of a range, which is read from `source` unless pieces cover it exactly."""
        value = self.of(start, stop)
        return crc32(source, start, stop) if value is None else value


def sum_tasks(source: int, ranges: Sequence[ByteRange], sums: Sums) -> Iterator[Task]:
    """Tasks that add the bytes of `source` in `ranges`, sorted and disjoint, to `sums`, unless they are there. This is
    not progress.
    """
    for start, stop in sums.gaps(ranges):
        for begin in range(start, stop, _SUMMED_AT_ONCE):
            end = min(begin + _SUMMED_AT_ONCE, stop)
            yield Task(0, partial(_sum, source, begin, end, sums), begin)


def _sum(source: int, start: int, stop: int, sums: Sums) -> None:
    sums.note(start, stop, crc32(source, start, stop))


def renew(destination: int, checksum: Checksum, sums: Sums | None = None) -> None:
    """Update `checksum` at each of its places to the written content, which is read unless `sums` has it."""
    value = (sums or Sums()).known(destination, checksum.start, checksum.stop)
    _write(destination, checksum.places, value.to_bytes(_WIDTH, "little"))


def lift(destination: int, checksum: Checksum) -> None:
    """Keep `checksum` only at its last place, so that its content may be overwritten step by step.

    The file can be read at every moment: see `Checksum.unfinished`.
    """
    *others, last = checksum.places
    _write(destination, others, bytes(_WIDTH))
    if not checksum.value:  # 0 would mean that it was never computed
        _write(destination, [last], _NONE)


def settle(destination: int, checksum: Checksum) -> None:
    """Copy the last place of `checksum` back to the others."""
    *others, last = checksum.places
    value = bytearray(_WIDTH)
    read_into(destination, memoryview(value), last)
    _write(destination, others[::-1], bytes(value))


def is_computed(checksum: Checksum, source: int) -> bool:
    """Whether `checksum` was computed at all: writers may leave zeros in its place."""
    return bool(checksum.value) or crc32(source, checksum.start, checksum.stop) == 0


def crc32(descriptor: int, start: int, stop: int) -> int:
    """The checksum of the bytes of `descriptor` from `start` to `stop`."""
    value, room = 0, memoryview(bytearray(min(_READ_AT_ONCE, stop - start)))
    for place in range(start, stop, _READ_AT_ONCE):
        part = room[: stop - place]
        read_into(descriptor, part, place)
        value = isal_zlib.crc32(part, value)
    return value


def refuse(path: str, checksum: Checksum, found: int | None) -> NoReturn:
    """Raise `InputError`: `checksum` of the file at `path` should be `found`, or, if that is None, a patch is
    unfinished.
    """
    place = f"{shown(path)}: {shown(checksum.name)}"
    if found is None:
        message = f"{place}: a patch that overwrites it was interrupted"
        hint = "repeat the command that patched it, or restore the file from a copy"
        raise InputError(Problem("archive.unfinished", message, hint))
    message = f"{place}: is damaged: its CRC-32 is {found:08x}, but the file says {checksum.value:08x}"
    raise InputError(Problem("archive.checksum", message, "download or copy the file again"))


def _write(destination: int, places: Sequence[int], value: bytes) -> None:
    for place in places:
        write_all(destination, value, place)
