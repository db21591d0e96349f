"""What the files of a result consist of: bytes of the input, blocks that rules fill, headers and records."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from initctl.execution.tasks import copy_tasks, gather_tasks
from initctl.filling.targets import TargetBlock
from initctl.formats.writing.formats import Layout
from initctl.layout.ranges import ByteRange, total
from initctl.tensors import TensorPart, TensorSpec

if TYPE_CHECKING:
    from initctl.filling.targets import FilledFile
    from initctl.formats import CheckpointFile, Checksum
    from initctl.planning import Action
    from initctl.workers import Task


class Content(NamedTuple):
    """One new file: its `layout` and permissions `mode`.

    `targets` are computed. `kept` ranges of `source` are copied to the same offsets. `moved` are parts of tensors, each
    with the offset at which its tensor begins. The `checked` checksums of input files are verified before the commit.
    """

    layout: Layout
    mode: int
    targets: Sequence[TargetBlock] = ()
    source: CheckpointFile | None = None
    kept: Sequence[ByteRange] = ()
    moved: Sequence[tuple[TensorPart, int]] = ()
    checked: Sequence[tuple[CheckpointFile, Checksum]] = ()

    @classmethod
    def rewritten(cls, filled: FilledFile, to_renew: Sequence[Checksum] = ()) -> Content:
        """A file of the input with its targets filled; then the checksums `to_renew` are computed again.

        Checksums of ranges that are overwritten as a whole are not verified: the input may be damaged there.
        """
        file, checked = filled.file, [(filled.file, checksum) for checksum in filled.to_verify if checksum.value]
        layout = Layout((), {}, file.size, to_renew)
        return cls(layout, file.mode, filled.targets, file, filled.copied, checked=checked)

    @property
    def nbytes(self) -> int:
        """Bytes of all tasks. Bytes between the elements of a strided target count twice: they are copied, and written
        back with the elements.
        """
        moved = sum(part.nbytes for part, _ in self.moved)
        checked = sum(checksum.stop - checksum.start for _, checksum in self.checked)
        return total(self.kept) + moved + checked + sum(target.nbytes for target in self.targets)

    @property
    def files(self) -> set[str]:
        """The names of the input's files that it copies from."""
        own = {self.source.name} if self.source else set()
        return own.union(*(part.tensor.files for part, _ in self.moved))

    def copying(self, sources: Mapping[str, int], destination: int) -> Iterator[Task]:
        """Tasks that copy the kept and the moved bytes to `destination`; `sources` are descriptors by name."""
        if self.source:
            yield from copy_tasks(sources[self.source.name], self.kept, destination)
        for part, begin in self.moved:
            for block in part.blocks:
                yield from gather_tasks(part.tensor, block, sources[block.file], destination, begin)


def target_at(action: Action, offset: int) -> TargetBlock:
    """The block that `action` fills, in a tensor that begins at `offset` of a new file."""
    tensor = action.tensor
    moved = TensorSpec.contiguous(tensor.name, tensor.dtype, tensor.shape, "", offset)
    (block,) = TensorPart(moved, action.rows).blocks
    return TargetBlock(action, block, action.law)


class Draft(NamedTuple):
    """A result before it is written: the `contents` of its files, by name.

    `sources` are the files of the input that it reads. They must not change meanwhile.
    """

    contents: Mapping[str, Content]
    sources: Sequence[CheckpointFile]
