"""Whether checksums that a file holds of what is filled are right."""

from __future__ import annotations

from collections import defaultdict
from functools import partial
from typing import TYPE_CHECKING

from initctl.audit.differences import FileDifference
from initctl.filling.checksums import CheckPiece
from initctl.filling.ranges import filled_ranges, overlap

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from initctl.audit.comparison import Held
    from initctl.filling import TensorReader
    from initctl.formats import Checkpoint, Checksum
    from initctl.tensors import Block


class Checksums:
    """Those of the bytes that hold `places` of what `reader` reads, or of all bytes if it `is_new`; none if the
    original had none either.
    """

    def __init__(
        self, reader: TensorReader, places: Iterable[Held], original: Checkpoint, *, is_new: bool = False
    ) -> None:
        filled: dict[str, list[tuple[Block, int]]] = defaultdict(list)
        for place in places:
            for block in place.held.blocks:
                filled[block.file].append((block, place.held.dtype.bits // 8))
        self.pieces: list[CheckPiece] = []
        self._wrong: list[tuple[str, Checksum]] = []
        computed = {c.name for file in original.files for c in file.checksums if c.value}
        for file in reader.checkpoint.files:
            reached = filled_ranges(filled[file.name])
            for checksum in file.checksums:
                is_told = checksum.value or checksum.unfinished or checksum.name in computed
                if is_told and (is_new or overlap(reached, checksum.start, checksum.stop)):
                    fail = partial(self._note, file.name, checksum)
                    self.pieces.append(CheckPiece(checksum, partial(reader.opened, file.name), fail))

    def wrong(self, differing: Collection[tuple[str, int]]) -> Iterator[FileDifference]:
        """Checksums that are wrong though what they are of is as it should be: no byte of it is among `differing`."""
        for file, checksum in sorted(self._wrong):
            if not any(other == file and checksum.start <= at < checksum.stop for other, at in differing):
                yield FileDifference(file, f"the checksum of {checksum.name} is wrong", checksum.places[0])

    def _note(self, file: str, checksum: Checksum, _: int | None) -> None:
        self._wrong.append((file, checksum))
