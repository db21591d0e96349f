"""What the files of a result consist of: bytes of the input, blocks that rules fill, headers and records."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import accumulate, pairwise
from operator import itemgetter
from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar

from initctl.execution.tasks import copy_tasks, gather_tasks, is_sequential
from initctl.filling.targets import TargetBlock
from initctl.formats.writing.formats import Layout
from initctl.layout.ranges import ByteRange, common, overlap, total
from initctl.stream import WholeLaw
from initctl.tensors import TensorPart, TensorSpec

if TYPE_CHECKING:
    from initctl.filling.targets import FilledFile
    from initctl.formats import CheckpointFile, Checksum
    from initctl.formats.writing.formats import Part
    from initctl.planning import Action
    from initctl.workers import Task


_Item = TypeVar("_Item")


class Content(NamedTuple):
    """One new file: its `layout` and permissions `mode`.

    `targets` are computed. `kept` ranges of `source` are copied to the same offsets. `moved` are parts of tensors, each
    with the offset at which its tensor begins. The `checked` checksums of input files are verified before the commit.
    If a `window` is given, only these bytes of the file are written. A file that replaces the one at `like` keeps its
    owner and attributes.
    """

    layout: Layout
    mode: int
    targets: Sequence[TargetBlock] = ()
    source: CheckpointFile | None = None
    kept: Sequence[ByteRange] = ()
    moved: Sequence[tuple[TensorPart, int]] = ()
    checked: Sequence[tuple[CheckpointFile, Checksum]] = ()
    window: ByteRange | None = None
    like: str | None = None

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
        moved = sum(self._inside(bytes_of(part, begin), part.nbytes) for part, begin in self.moved)
        filled = sum(self._inside(target.range, target.nbytes) for target in self.targets)
        checked = sum(checksum.stop - checksum.start for _, checksum in self.checked)
        return total(self.kept) + moved + checked + filled

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
                yield from gather_tasks(part.tensor, block, sources[block.file], destination, begin, self.window)

    def within(self, window: ByteRange) -> Content:
        """The part of it in `window`. Nothing is checked. The edges must not be inside of an `indivisible` range."""
        moved = [(part, begin) for part, begin in self.moved if overlap([window], *bytes_of(part, begin))]
        return self._replace(
            layout=self.layout._replace(parts=list(_clipped(self.layout.parts, window))),
            targets=[target.within(window) for target in self.targets if overlap([window], *target.range)],
            kept=common(self.kept, [window]),
            moved=moved,
            checked=(),
            window=window,
        )

    @property
    def sections(self) -> list[ByteRange]:
        """The bytes that are written, cut at the edges of ranges that have checksums in the file."""
        start, stop = self.window or ByteRange(0, self.layout.size)
        edges = {edge for c in self.layout.checksums for edge in (c.start, c.stop) if start < edge < stop}
        return [ByteRange(*pair) for pair in pairwise([start, *sorted(edges), stop])]

    @property
    def indivisible(self) -> list[ByteRange]:
        """The ranges that one process must write alone, sorted and disjoint.

        Between them, a multiple of 16 bytes is not inside of an element. Tensors that are computed as a whole are
        computed once. Bytes between the elements of a strided block are read and written back with them.
        """
        found = [(target.range, _is_indivisible(target)) for target in self.targets]
        found += [(bytes_of(part, begin), not is_sequential(part)) for part, begin in self.moved]
        return [joint for joint, is_whole in _clusters(found) if is_whole]

    def _inside(self, where: ByteRange, nbytes: int) -> int:
        """How many of the `nbytes` that are written in a range are in the window."""
        return nbytes if self.window is None else min(nbytes, overlap([self.window], *where))


class Windows:
    """The windows of a content. One is found without a look at all of it."""

    def __init__(self, content: Content) -> None:
        self._content = content
        self._targets = _Ordered(content.targets, lambda target: target.range)
        self._kept = _Ordered(content.kept, lambda kept: kept)
        self._moved = _Ordered(content.moved, lambda moved: bytes_of(*moved))
        self._parts = _Ordered(content.layout.parts, lambda part: ByteRange(part[0], part[0] + len(part[1])))

    def at(self, window: ByteRange) -> Content:
        """What `Content.within` gives."""
        near = self._content._replace(
            targets=self._targets.near(window),
            kept=self._kept.near(window),
            moved=self._moved.near(window),
            layout=self._content.layout._replace(parts=self._parts.near(window)),
        )
        return near.within(window)


class _Ordered(Generic[_Item]):
    """Items in order of the bytes that they are of."""

    def __init__(self, items: Iterable[_Item], bytes_of_item: Callable[[_Item], ByteRange]) -> None:
        pairs = sorted(((bytes_of_item(item), item) for item in items), key=itemgetter(0))
        self._items = [item for _, item in pairs]
        self._starts = [where.start for where, _ in pairs]
        self._reached = list(accumulate((where.stop for where, _ in pairs), max))

    def near(self, window: ByteRange) -> list[_Item]:
        """All items with bytes in `window`, and maybe others."""
        return self._items[bisect_right(self._reached, window.start) : bisect_left(self._starts, window.stop)]


def _is_indivisible(target: TargetBlock) -> bool:
    is_whole = not target.is_ready and isinstance(target.law, WholeLaw)
    return is_whole or not target.block.is_row_major or bool(target.block.offset % target.width)


def bytes_of(part: TensorPart, begin: int) -> ByteRange:
    """The bytes of the rows of `part`, in a file in which its tensor begins at byte `begin`, in row-major order."""
    first = TensorPart(part.tensor, (0, part.rows[0])).nbytes if part.rows else 0
    return ByteRange(begin + first, begin + first + part.nbytes)


def _clipped(parts: Iterable[Part], window: ByteRange) -> Iterator[Part]:
    """What of `parts` is in `window`."""
    for place, data in parts:
        start, stop = max(place, window.start), min(place + len(data), window.stop)
        if start < stop:
            yield start, data[start - place : stop - place]


def _clusters(ranges: Iterable[tuple[ByteRange, bool]]) -> Iterator[tuple[ByteRange, bool]]:
    """`ranges` sorted, those that overlap joined, each with a flag: whether it is set for any that was joined."""
    joint, flag = ByteRange(0, 0), False
    for (start, stop), given in sorted(ranges):
        if start < joint.stop:
            joint, flag = ByteRange(joint.start, max(joint.stop, stop)), flag or given
        else:
            yield joint, flag
            joint, flag = ByteRange(start, stop), given
    yield joint, flag


def target_at(action: Action, offset: int) -> TargetBlock:
    """The block that `action` fills, in a tensor that begins at `offset` of a new file."""
    tensor = action.tensor
    moved = TensorSpec.contiguous(tensor.name, tensor.dtype, tensor.shape, "", offset)
    (block,) = TensorPart(moved, action.rows).blocks
    return TargetBlock(action, block, action.law)


class Draft(NamedTuple):
    """A result before it is written: the `contents` of its files, by name.

    `sources` are the files of the input that it reads, or removes in place. They must not change meanwhile.
    """

    contents: Mapping[str, Content]
    sources: Sequence[CheckpointFile]
