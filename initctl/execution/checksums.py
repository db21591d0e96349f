"""CRC-32 checksums that a file holds of its own content: looked at before anything is written, renewed after it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

from initctl.commit import read_some, write_all
from initctl.errors import InputError, Problem, shown
from initctl.filling.checksums import crc32

if TYPE_CHECKING:
    from initctl.formats import Checksum

_WIDTH = 4
"""Bytes of a CRC-32."""
_NONE = b"\xff" * _WIDTH
"""What stands for a checksum of 0 while it is unfinished."""


def refuse(path: str, checksum: Checksum, found: int | None) -> NoReturn:
    """Raise `InputError`: `checksum` of the file at `path` should be what was `found`, or a patch has not finished."""
    place = f"{shown(path)}: {shown(checksum.name)}"
    if found is None:
        message = f"{place}: a patch began to overwrite it, and stopped"
        raise InputError(Problem("archive.unfinished", message, "complete it with the same command"))
    message = f"{place}: is damaged: its CRC-32 is {found:08x}, and {checksum.value:08x} was written down"
    raise InputError(Problem("archive.checksum", message, "get the file anew"))


@dataclass(frozen=True, slots=True)
class _OfChecksum:
    """What is done to a `checksum`, which takes no time that counts."""

    checksum: Checksum
    nbytes = 0

    @property
    def offset(self) -> int:
        return self.checksum.start


@dataclass(frozen=True, slots=True)
class RenewedPiece(_OfChecksum):
    """Brings `checksum` up to date with what was written, at each of its places."""

    def write(self, destination: int) -> None:
        value = crc32(destination, self.checksum)
        for place in self.checksum.places:
            write_all(destination, value.to_bytes(_WIDTH, "little"), place)


@dataclass(frozen=True, slots=True)
class LiftedPiece(_OfChecksum):
    """Leaves `checksum` at its last place alone, so that what it is of may be overwritten step by step.

    Whenever that stops, the file can be read: see `Checksum.unfinished`.
    """

    def write(self, destination: int) -> None:
        *others, last = self.checksum.places
        for place in others:
            write_all(destination, bytes(_WIDTH), place)
        if not self.checksum.value:  # else it could not be told from one that was never computed
            write_all(destination, _NONE, last)


@dataclass(frozen=True, slots=True)
class SettledPiece(_OfChecksum):
    """Puts what stands at the last place of `checksum` at the others again."""

    def write(self, destination: int) -> None:
        *others, last = self.checksum.places
        value = b""
        while len(value) < _WIDTH:
            value += read_some(destination, last + len(value), last + _WIDTH)
        for place in reversed(others):
            write_all(destination, value, place)
