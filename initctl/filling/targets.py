"""What is computed: blocks of tensors in files, and their runs of elements."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from itertools import groupby
from typing import TYPE_CHECKING, NamedTuple

from initctl.layout.ranges import ByteRange, covered, overlap, uncovered
from initctl.stream import AnyLaw, RevisingLaw, WholeLaw

if TYPE_CHECKING:
    from initctl.formats import CheckpointFile, Checksum
    from initctl.planning import Action
    from initctl.stream.engines import LawRun
    from initctl.tensors import Block


@cache
def needs_preparing(kind: type) -> bool:
    """Whether laws of a `kind` must be prepared before any element is computed. Cached: it is called very often."""
    return issubclass(kind, (WholeLaw, RevisingLaw))


class TargetBlock(NamedTuple):
    """A block that `action` fills by `law`: the action's law, or the prepared one.

    If a `window` of the file is given, only the elements in it are filled. Its edges are not inside of an element.
    """

    action: Action
    block: Block
    law: AnyLaw
    window: ByteRange | None = None

    @property
    def is_ready(self) -> bool:
        """Whether its elements can be computed one by one: the law needs no preparation, or is prepared."""
        return not needs_preparing(type(self.law))

    @property
    def width(self) -> int:
        """Bytes of an element."""
        return self.action.tensor.dtype.bits // 8

    @property
    def nbytes(self) -> int:
        return self.block.numel * self.width

    @property
    def range(self) -> ByteRange:
        """The bytes from its first element to its last, in its file."""
        return ByteRange(self.block.offset, self.block.offset + self.block.extent * self.width)

    def within(self, window: ByteRange) -> TargetBlock:
        """The part of it in `window`."""
        is_inside = window.start <= self.range.start and self.range.stop <= window.stop
        return self if is_inside else self._replace(window=window)


class FilledFile(NamedTuple):
    """The `file` of a checkpoint with `targets` filled. Then the checksums `to_renew` are computed again.

    `copied` are the ranges that stay, including those between the elements of targets with gaps. Checksums `to_verify`
    are of ranges that are not overwritten as a whole: they must be right before.
    """

    file: CheckpointFile
    targets: Sequence[TargetBlock]
    copied: list[ByteRange]
    to_renew: list[Checksum]
    to_verify: list[Checksum]

    @classmethod
    def of(cls, file: CheckpointFile, targets: Sequence[TargetBlock]) -> FilledFile:
        filled = covered((t.block, t.width) for t in targets if t.block.is_dense)
        written = covered((t.block, t.width) for t in targets) if file.checksums else []
        to_renew = [c for c in file.checksums if overlap(written, c.start, c.stop)]
        to_verify = [c for c in file.checksums if overlap(filled, c.start, c.stop) < c.stop - c.start]
        return cls(file, targets, uncovered(file.size, filled), to_renew, to_verify)


class ElementRun(NamedTuple):
    """A run of elements of the tensor that `action` fills. Their `numbers` are at `offset` of a file, in `nbytes`."""

    numbers: LawRun
    action: Action
    offset: int
    nbytes: int

    def within(self, window: ByteRange) -> ElementRun | None:
        """Its elements in `window`, whose edges are not inside of one; None if there are none."""
        start, stop = max(self.offset, window.start), min(self.offset + self.nbytes, window.stop)
        if start >= stop:
            return None
        width = self.numbers.dtype.width
        first, last = (self.numbers.start + (edge - self.offset) // width for edge in (start, stop))
        return ElementRun(self.numbers._replace(start=first, stop=last), self.action, start, stop - start)

    def cut(self, limit: int) -> Iterator[ElementRun]:
        """Cut into parts of at most `limit` bytes."""
        first, width = self.numbers.start, self.numbers.dtype.width
        step = limit // width
        for start in range(first, self.numbers.stop, step):
            stop = min(start + step, self.numbers.stop)
            offset = self.offset + (start - first) * width
            yield ElementRun(self.numbers._replace(start=start, stop=stop), self.action, offset, (stop - start) * width)


def range_of(runs: Sequence[ElementRun]) -> ByteRange:
    """The bytes of `runs`, which follow each other without gaps."""
    return ByteRange(runs[0].offset, runs[-1].offset + runs[-1].nbytes)


def targets_by_file(actions: Iterable[Action]) -> dict[str, list[TargetBlock]]:
    """The blocks that `actions` fill, by file. No byte is in two blocks."""
    found: dict[str, list[TargetBlock]] = defaultdict(list)
    for action in actions:
        for block in action.part.blocks if action.rows else action.tensor.blocks:
            if block.numel:
                found[block.file].append(TargetBlock(action, block.distinct, action.law))
    return found


def in_turn(actions: Iterable[Action]) -> Iterator[Iterator[Action]]:
    """`actions` in their order, in groups that may be in memory at once. A tensor computed as a whole is alone."""
    return (group for _, group in groupby(actions, _alone))


def _alone(action: Action) -> int:
    """A key that differs for actions that must not be in memory at once."""
    return id(action) if needs_preparing(type(action.law)) and isinstance(action.law, WholeLaw) else 0


def packed(runs: Iterable[ElementRun], limit: int) -> Iterator[list[ElementRun]]:
    """`runs` in groups of at most `limit` bytes. A group has no gaps and one device; longer runs are cut."""
    group: list[ElementRun] = []
    end = room = 0
    for run in runs:
        for part in (run,) if run.nbytes <= limit else run.cut(limit):
            if part.offset != end or part.nbytes > room or part.action.device != group[0].action.device:
                if group:
                    yield group
                group, room = [], limit
            group.append(part)
            end, room = part.offset + part.nbytes, room - part.nbytes
    if group:
        yield group
