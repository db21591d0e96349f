"""What a file of the result is made of: bytes of the input, and blocks that rules fill."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from initctl.layout import covered, overlap, total, uncovered

if TYPE_CHECKING:
    from collections.abc import Sequence

    from initctl.filling import TargetBlock
    from initctl.formats import CheckpointFile, Checksum
    from initctl.layout import ByteRange


@dataclass(frozen=True, slots=True)
class Content:
    """The file `source` with `targets` filled and all else as it is; then the `stale` checksums are renewed.

    `kept` are the bytes that are copied: what is between the elements of targets with gaps is among them. `carried`
    are the checksums of ranges that are not overwritten as a whole: what they are of must be as they say.
    """

    source: CheckpointFile
    kept: tuple[ByteRange, ...]
    filled: tuple[ByteRange, ...]
    targets: tuple[TargetBlock, ...]
    stale: tuple[Checksum, ...]
    carried: tuple[Checksum, ...]

    @property
    def nbytes(self) -> int:
        """Bytes to be written: those between elements that are kept first and filled then count twice."""
        return total(self.kept) + sum(target.nbytes for target in self.targets)


def rewritten(file: CheckpointFile, targets: Sequence[TargetBlock]) -> Content:
    """`file` with `targets` filled."""
    filled = covered((t.block, t.width) for t in targets if t.block.is_dense)
    written = covered((t.block, t.width) for t in targets) if file.checksums else []
    stale = tuple(c for c in file.checksums if overlap(written, c.start, c.stop))
    carried = tuple(c for c in file.checksums if overlap(filled, c.start, c.stop) < c.stop - c.start)
    return Content(file, tuple(uncovered(file.size, filled)), tuple(filled), tuple(targets), stale, carried)
