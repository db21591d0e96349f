"""A file's content as pieces that can be written in any order: kept ranges, and elements of tensors to fill."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

from initctl.commit import copy_range, start_writeback, write_all
from initctl.filling.filler import adjoining, cut, spans

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from initctl.filling import Filler, Span, Target
    from initctl.filling.ranges import Range
    from initctl.stream import Law

COPIED_AT_ONCE = 16 << 20
"""Bytes of a kept range that make one piece."""
FILLED_AT_ONCE = 4 << 20
"""Bytes of tensors that make one piece, computed and written in as many parts as its engine likes."""
_WRITTEN_BACK = 1 << 20
"""Bytes from which on a piece is sent to the disk as soon as it is written."""


@dataclass(frozen=True, slots=True)
class KeptPiece:
    """`nbytes` from `start` of the descriptor `source`."""

    source: int
    start: int
    nbytes: int
    offset: int

    def write(self, destination: int) -> None:
        copy_range(self.source, destination, self.start, self.start + self.nbytes, self.offset)
        if self.nbytes >= _WRITTEN_BACK:
            start_writeback(destination, self.offset, self.offset + self.nbytes)


@dataclass(frozen=True, slots=True)
class FilledPiece:
    """Adjacent spans of one or more tensors."""

    spans: tuple[Span, ...]
    filler: Filler

    @property
    def offset(self) -> int:
        return self.spans[0].offset

    @property
    def nbytes(self) -> int:
        return sum(span.nbytes for span in self.spans)

    def write(self, destination: int) -> None:
        for offset, data in self.filler.parts(self.spans):
            write_all(destination, data, offset)
        if self.nbytes >= _WRITTEN_BACK:
            start_writeback(destination, self.offset, self.offset + self.nbytes)


def kept_pieces(source: int, ranges: Iterable[Range], shift: int = 0) -> Iterator[KeptPiece]:
    """Pieces that copy `ranges` of `source`, `shift` bytes further on."""
    for start, stop in ranges:
        for first in range(start, stop, COPIED_AT_ONCE):
            yield KeptPiece(source, first, min(COPIED_AT_ONCE, stop - first), first + shift)


def filled_pieces(fillings: Iterable[tuple[Target, Law]], filler: Filler) -> Iterator[FilledPiece]:
    """Pieces that fill row-major blocks, in order of offset: small neighbours together, large ones cut."""
    ordered = sorted(fillings, key=lambda filling: filling[0].block.offset)
    content = chain.from_iterable(spans(target, law) for target, law in ordered)
    for run in adjoining(cut(content, FILLED_AT_ONCE), FILLED_AT_ONCE):
        yield FilledPiece(run, filler)
