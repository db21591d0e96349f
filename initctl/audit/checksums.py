"""Whether checksums that a file holds of what is filled are right."""

from __future__ import annotations

import os
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from initctl.audit.placement import FileDifference
from initctl.filling.checksums import crc32
from initctl.filling.ranges import filled_ranges, overlap

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator
    from contextlib import ExitStack

    from initctl.audit.comparison import Held
    from initctl.formats import Checkpoint, Checksum
    from initctl.tensors import Block


class Checksums:
    """Those of the bytes of a result that hold `places`; its files stay open until `stack` is closed."""

    def __init__(self, result: Checkpoint, places: Iterable[Held], stack: ExitStack) -> None:
        filled: dict[str, list[tuple[Block, int]]] = defaultdict(list)
        for place in places:
            for block in place.held.blocks:
                filled[block.file].append((block, place.held.dtype.bits // 8))
        self.pieces: list[ChecksumPiece] = []
        for file in result.files:
            reached = filled_ranges(filled[file.name])
            told = [c for c in file.checksums if (c.value or c.unfinished) and overlap(reached, c.start, c.stop)]
            if told:
                descriptor = result.open(file)
                stack.callback(os.close, descriptor)
                self.pieces += (ChecksumPiece(file.name, checksum, descriptor) for checksum in told)

    def wrong(self, differing: Collection[tuple[str, int]]) -> Iterator[FileDifference]:
        """Checksums that are wrong though what they are of is as it should be: no byte of it is among `differing`."""
        for piece in self.pieces:
            checksum = piece.checksum
            is_of_another = any(file == piece.file and checksum.start <= at < checksum.stop for file, at in differing)
            if piece.wrong and not is_of_another:
                yield FileDifference(piece.file, f"the checksum of {checksum.name} is wrong", checksum.places[0])


@dataclass(slots=True)
class ChecksumPiece:
    """Tells whether a `checksum` of a file is `wrong`; writes nothing."""

    file: str
    checksum: Checksum
    source: int
    wrong: bool = False

    @property
    def offset(self) -> int:
        return self.checksum.start

    @property
    def nbytes(self) -> int:
        """Bytes that are looked at."""
        return self.checksum.stop - self.checksum.start

    def write(self, destination: int) -> None:  # noqa: ARG002 - it only looks
        self.wrong = self.checksum.unfinished or crc32(self.source, self.checksum) != self.checksum.value
