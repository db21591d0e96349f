"""CRC-32 checksums that a file holds of its own content: whether they are right."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from isal import isal_zlib

from initctl.commit import read_some

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from initctl.formats import Checksum

_READ_AT_ONCE = 256 << 10
"""Bytes that stay in a core's own cache between being read and being summed."""


@dataclass(frozen=True, slots=True)
class CheckPiece:
    """Compares `checksum` with what a file holds, which is `opened` for that; writes nothing.

    `fail` is called where they differ, with what it should be; or with None, where a patch has not finished.
    """

    checksum: Checksum
    opened: Callable[[], AbstractContextManager[int]]
    fail: Callable[[int | None], object]

    @property
    def offset(self) -> int:
        return self.checksum.start

    @property
    def nbytes(self) -> int:
        """Bytes that are looked at."""
        return self.checksum.stop - self.checksum.start

    def write(self, destination: int) -> None:  # noqa: ARG002 - it only looks
        with self.opened() as source:
            found = None if self.checksum.unfinished else crc32(source, self.checksum)
        if found != self.checksum.value:
            self.fail(found)


def is_computed(checksum: Checksum, source: int) -> bool:
    """Whether `checksum` is what `source` holds, or was that once, rather than zeros in its place."""
    return bool(checksum.value) or crc32(source, checksum) == 0


def crc32(descriptor: int, checksum: Checksum) -> int:
    """What `checksum` should be, by what `descriptor` holds."""
    value, reached = 0, checksum.start
    while reached < checksum.stop:
        data = read_some(descriptor, reached, min(reached + _READ_AT_ONCE, checksum.stop))
        value = isal_zlib.crc32(data, value)
        reached += len(data)
    return value
