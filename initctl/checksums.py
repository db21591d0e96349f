"""CRC-32 checksums that a file holds of its own content: compared with it, renewed, and set aside during a patch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NoReturn

from isal import isal_zlib

from initctl.commit.copying import read_into, write_all
from initctl.errors import InputError, Problem, shown
from initctl.workers import Task

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from initctl.formats import Checksum

_READ_AT_ONCE = 256 << 10
"""Bytes that stay in a core's own cache between being read and being summed."""
_WIDTH = 4
"""Bytes of a CRC-32."""
_NONE = b"\xff" * _WIDTH
"""What stands for a checksum of 0 while it is unfinished."""


def check_task(
    checksum: Checksum, opened: Callable[[], AbstractContextManager[int]], fail: Callable[[int | None], object]
) -> Task:
    """What compares `checksum` with what a file holds, which is `opened` for that.

    Calls `fail` if they differ, with what it should be; or with None, if a patch has not finished.
    """

    def check() -> None:
        with opened() as source:
            found = None if checksum.unfinished else crc32(source, checksum)
        if found != checksum.value:
            fail(found)

    return Task(checksum.stop - checksum.start, check, checksum.start)


class Sums:
    """The checksums of pieces of a file, taken when they are written, so that they need not be read again."""

    def __init__(self) -> None:
        self._pieces: dict[int, tuple[int, int]] = {}
        """Where each piece stops, and its checksum, by where it starts."""

    def add(self, start: int, content: memoryview) -> None:
        """Take note of `content`, which the file holds from `start` on for good. Several threads may do so at once."""
        self._pieces[start] = (start + content.nbytes, isal_zlib.crc32(content))

    def of(self, start: int, stop: int) -> int | None:
        """The checksum of a range, if it is made of pieces."""
        value = 0
        while start < stop:
            if start not in self._pieces:
                return None
            end, added = self._pieces[start]
            value, start = isal_zlib.crc32_combine(value, added, end - start), end
        return value if start == stop else None


def renew(destination: int, checksum: Checksum, sums: Sums | None = None) -> None:
    """Bring `checksum` up to date with what was written, at each of its places. What is in `sums` is not read again."""
    value = sums.of(checksum.start, checksum.stop) if sums else None
    if value is None:
        value = crc32(destination, checksum)
    _write(destination, checksum.places, value.to_bytes(_WIDTH, "little"))


def lift(destination: int, checksum: Checksum) -> None:
    """Leave `checksum` at its last place alone, so that what it is of may be overwritten step by step.

    Whenever that stops, the file can be read: see `Checksum.unfinished`.
    """
    *others, last = checksum.places
    _write(destination, others, bytes(_WIDTH))
    if not checksum.value:  # else it could not be told from one that was never computed
        _write(destination, [last], _NONE)


def settle(destination: int, checksum: Checksum) -> None:
    """Put what is at the last place of `checksum` at the others again."""
    *others, last = checksum.places
    value = bytearray(_WIDTH)
    read_into(destination, memoryview(value), last)
    _write(destination, others[::-1], bytes(value))


def is_computed(checksum: Checksum, source: int) -> bool:
    """Whether `checksum` is what `source` holds, or was that once, rather than zeros in its place."""
    return bool(checksum.value) or crc32(source, checksum) == 0


def crc32(descriptor: int, checksum: Checksum) -> int:
    """What `checksum` should be, by what `descriptor` holds."""
    value, room = 0, memoryview(bytearray(min(_READ_AT_ONCE, checksum.stop - checksum.start)))
    for start in range(checksum.start, checksum.stop, _READ_AT_ONCE):
        part = room[: checksum.stop - start]
        read_into(descriptor, part, start)
        value = isal_zlib.crc32(part, value)
    return value


def refuse(path: str, checksum: Checksum, found: int | None) -> NoReturn:
    """Raise `InputError`: `checksum` of the file at `path` should be what was `found`, or a patch has not finished."""
    place = f"{shown(path)}: {shown(checksum.name)}"
    if found is None:
        message = f"{place}: a patch began to overwrite it, and stopped"
        raise InputError(Problem("archive.unfinished", message, "complete it with the same command"))
    message = f"{place}: is damaged: its CRC-32 is {found:08x}, and {checksum.value:08x} was written down"
    raise InputError(Problem("archive.checksum", message, "get the file anew"))


def _write(destination: int, places: Sequence[int], value: bytes) -> None:
    for place in places:
        write_all(destination, value, place)
