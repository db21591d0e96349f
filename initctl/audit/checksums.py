"""Whether checksums that a file holds of what is filled are right."""

from __future__ import annotations

import os
from collections import defaultdict
from functools import partial
from typing import TYPE_CHECKING

from initctl.audit.placement import FileDifference
from initctl.filling.checksums import CheckPiece
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
        self.pieces: list[CheckPiece] = []
        self._wrong: list[tuple[str, Checksum]] = []
        for file in result.files:
            reached = filled_ranges(filled[file.name])
            told = [c for c in file.checksums if (c.value or c.unfinished) and overlap(reached, c.start, c.stop)]
            if told:
                descriptor = result.open(file)
                stack.callback(os.close, descriptor)
                self.pieces += (CheckPiece(c, descriptor, partial(self._note, file.name, c)) for c in told)

    def wrong(self, differing: Collection[tuple[str, int]]) -> Iterator[FileDifference]:
        """Checksums that are wrong though what they are of is as it should be: no byte of it is among `differing`."""
        for file, checksum in sorted(self._wrong):
            if not any(other == file and checksum.start <= at < checksum.stop for other, at in differing):
                yield FileDifference(file, f"the checksum of {checksum.name} is wrong", checksum.places[0])

    def _note(self, file: str, checksum: Checksum, _: int | None) -> None:
        self._wrong.append((file, checksum))
