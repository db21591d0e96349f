"""What filling some of a file's tensors leaves of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from initctl.layout import covered, overlap, uncovered

if TYPE_CHECKING:
    from collections.abc import Sequence

    from initctl.filling.targets import TargetBlock
    from initctl.formats import CheckpointFile, Checksum
    from initctl.layout import ByteRange


class FilledFile(NamedTuple):
    """The `file` of a checkpoint with `targets` filled and all else as it is; then the `stale` checksums are renewed.

    `kept` are the bytes that stay: what is between the elements of targets with gaps is among them. `carried` are the
    checksums of ranges that are not overwritten as a whole: what they are of must be as they say.
    """

    file: CheckpointFile
    targets: Sequence[TargetBlock]
    kept: list[ByteRange]
    stale: list[Checksum]
    carried: list[Checksum]

    @classmethod
    def of(cls, file: CheckpointFile, targets: Sequence[TargetBlock]) -> FilledFile:
        filled = covered((t.block, t.width) for t in targets if t.block.is_dense)
        written = covered((t.block, t.width) for t in targets) if file.checksums else []
        stale = [c for c in file.checksums if overlap(written, c.start, c.stop)]
        carried = [c for c in file.checksums if overlap(filled, c.start, c.stop) < c.stop - c.start]
        return cls(file, targets, uncovered(file.size, filled), stale, carried)
