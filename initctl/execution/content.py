"""What a file of the result is made of: bytes of the input, and blocks that rules fill."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from initctl.filling.ranges import extent, filled_ranges, kept_ranges, overlap

if TYPE_CHECKING:
    from collections.abc import Sequence

    from initctl.filling import Target
    from initctl.filling.ranges import Range
    from initctl.formats import CheckpointFile, Checksum


@dataclass(frozen=True, slots=True)
class Content:
    """The file `source` with `targets` filled and all else as it is; then the `stale` checksums are renewed.

    `kept` are the bytes that are copied: what lies between the elements of targets with gaps is among them. `carried`
    are the checksums of ranges that are not overwritten as a whole: what they are of must be as they say.
    """

    source: CheckpointFile
    kept: tuple[Range, ...]
    filled: tuple[Range, ...]
    targets: tuple[Target, ...]
    stale: tuple[Checksum, ...]
    carried: tuple[Checksum, ...]

    @property
    def nbytes(self) -> int:
        """Bytes to be written: those between elements that are kept first and filled then count twice."""
        return extent(self.kept) + sum(target.nbytes for target in self.targets)


def rewritten(file: CheckpointFile, targets: Sequence[Target]) -> Content:
    """`file` with `targets` filled."""
    filled = filled_ranges((t.block, t.width) for t in targets if t.block.is_dense)
    written = filled_ranges((t.block, t.width) for t in targets)
    stale = tuple(c for c in file.checksums if overlap(written, c.start, c.stop))
    carried = tuple(c for c in file.checksums if overlap(filled, c.start, c.stop) < c.stop - c.start)
    return Content(file, tuple(kept_ranges(file.size, filled)), tuple(filled), tuple(targets), stale, carried)
