"""CRC-32 checksums that a file holds of its own content: looked at before anything is written, renewed after it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from isal import isal_zlib

from initctl.commit import read_some, write_all
from initctl.errors import InputError, Problem, shown

if TYPE_CHECKING:
    from initctl.formats import Checksum

_READ_AT_ONCE = 256 << 10
"""Bytes that stay in a core's own cache between being read and being summed."""


@dataclass(frozen=True, slots=True)
class CheckPiece:
    """Compares `checksum` with what `source` holds, a file called `path`; writes nothing."""

    checksum: Checksum
    source: int
    path: str

    @property
    def offset(self) -> int:
        return self.checksum.start

    @property
    def nbytes(self) -> int:
        """Bytes that are looked at."""
        return self.checksum.stop - self.checksum.start

    def write(self, destination: int) -> None:  # noqa: ARG002 - it only looks
        """Raise `InputError` where they differ."""
        found = _crc32(self.source, self.checksum)
        if found != self.checksum.value:
            message = f"{shown(self.path)}: {shown(self.checksum.name)}: is damaged: "
            message += f"its CRC-32 is {found:08x}, and {self.checksum.value:08x} was written down"
            raise InputError(Problem("archive.checksum", message, "get the file anew"))


@dataclass(frozen=True, slots=True)
class RenewedPiece:
    """Brings `checksum` up to date with what was written."""

    checksum: Checksum
    nbytes = 0

    @property
    def offset(self) -> int:
        return self.checksum.start

    def write(self, destination: int) -> None:
        value = _crc32(destination, self.checksum)
        for place in self.checksum.places:
            write_all(destination, value.to_bytes(4, "little"), place)


def _crc32(descriptor: int, checksum: Checksum) -> int:
    value, reached = 0, checksum.start
    while reached < checksum.stop:
        data = read_some(descriptor, reached, min(reached + _READ_AT_ONCE, checksum.stop))
        value = isal_zlib.crc32(data, value)
        reached += len(data)
    return value
