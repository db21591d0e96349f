"""Which bytes of a result each part writes: a pure function of the result's files and the number of parts."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from heapq import heapify, heappop, heappush
from typing import TYPE_CHECKING, NamedTuple

from initctl.coworkers import Loads
from initctl.grouping import grouped
from initctl.layout.ranges import ByteRange

if TYPE_CHECKING:
    from initctl.execution.content import Content
    from initctl.formats import CheckpointFile, Checksum

STEP = 64 << 20
"""Files are cut at multiples of this many bytes."""
MOST = 100_000
"""Parts of a result."""


class Piece(NamedTuple):
    """The bytes of a result's `file` from `start` to `stop` (exclusive)."""

    file: str
    start: int
    stop: int

    @property
    def nbytes(self) -> int:
        return self.stop - self.start

    @property
    def window(self) -> ByteRange:
        return ByteRange(self.start, self.stop)


@dataclass(slots=True)
class Share:
    """What one part writes: `pieces`, in order; and the `checks` of input files that it makes."""

    pieces: list[Piece] = field(default_factory=list)
    checks: list[tuple[CheckpointFile, Checksum]] = field(default_factory=list)

    @property
    def nbytes(self) -> int:
        return sum(piece.nbytes for piece in self.pieces)


def split(contents: Mapping[str, Content], parts: int) -> list[Share]:
    """The share of each of `parts` in files of these `contents`, by name. Every byte is in one share.

    Files are handed out by size, the largest first, each to the part that has the fewest bytes. A file that would give
    a part more than its fair share is cut at a multiple of `STEP`, unless a range there is indivisible.
    """
    shares = [Share() for _ in range(parts)]
    for number, piece in _handed_out(contents, parts):
        shares[number].pieces.append(piece)
    order = {name: place for place, name in enumerate(contents)}
    for share in shares:
        share.pieces.sort(key=lambda piece: (order[piece.file], piece.start))
    writing = [share for share in shares if share.pieces]
    hand_out_checks(contents, writing)
    return shares


def hand_out_checks(contents: Mapping[str, Content], shares: Sequence[Share]) -> None:
    """Add to `shares`, of which each has pieces, the checks of these `contents`."""
    for number, check in _checks(contents, shares):
        shares[number].checks.append(check)


def _handed_out(contents: Mapping[str, Content], parts: int) -> Iterator[tuple[int, Piece]]:
    """All pieces, each with the number of its part."""
    names, sizes = list(contents), [content.layout.size for content in contents.values()]
    limit, loads = max(round(sum(sizes) / parts / STEP), 1) * STEP, Loads(parts)
    rests = [(-size, number, 0) for number, size in enumerate(sizes)]
    heapify(rests)
    indivisible: dict[str, list[ByteRange]] = {}
    while rests:
        negative, number, start = heappop(rests)
        name, stop = names[number], start - negative
        room = max(limit - loads.least, STEP)
        if stop - start > room:
            if name not in indivisible:
                indivisible[name] = contents[name].indivisible
            cut = _cut(start, (start + room) // STEP * STEP, indivisible[name])
            if cut < stop:
                heappush(rests, (cut - stop, number, cut))
                stop = cut
        yield loads.add(stop - start), Piece(name, start, stop)


def _cut(start: int, wanted: int, indivisible: Sequence[ByteRange]) -> int:
    """Where to cut a range that begins at `start`: at `wanted`, or at an edge of the indivisible range around it."""
    number = bisect_right(indivisible, (wanted, wanted)) - 1
    if number < 0 or not indivisible[number].start < wanted < indivisible[number].stop:
        return wanted
    first, last = indivisible[number]
    return first if first > start else last


def _checks(
    contents: Mapping[str, Content], shares: Sequence[Share]
) -> Iterator[tuple[int, tuple[CheckpointFile, Checksum]]]:
    """All checks, each with the number of its share. The share that copies the same bytes makes them; the checks of a
    conversion are handed out by their size.
    """
    begins = grouped(
        (piece.file, (piece.start, number)) for number, share in enumerate(shares) for piece in share.pieces
    )
    loads = Loads(len(shares))
    for name, content in contents.items():
        owners = sorted(begins[name])
        for file, checksum in content.checked:
            if content.source is file:
                yield owners[bisect_right(owners, (checksum.start, len(shares))) - 1][1], (file, checksum)
            else:
                yield loads.add(checksum.stop - checksum.start), (file, checksum)
