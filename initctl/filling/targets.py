"""What is computed: blocks of tensors in files, and the runs of elements that they are made of."""

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
    """Whether laws of a `kind` must be prepared before any element is computed. Asked for each of many tensors."""
    return issubclass(kind, (WholeLaw, RevisingLaw))


class TargetBlock(NamedTuple):
    """A block that `action` fills by `law`: the action's own, or what that is once it is prepared."""

    action: Action
    block: Block
    law: AnyLaw

    @property
    def is_ready(self) -> bool:
        """Whether its elements can be computed one by one: the law needs no preparation, or had it."""
        return not needs_preparing(type(self.law))

    @property
    def width(self) -> int:
        """Bytes of an element."""
        return self.action.tensor.dtype.bits // 8

    @property
    def nbytes(self) -> int:
        return self.block.numel * self.width


class FilledFile(NamedTuple):
    """The `file` of a checkpoint with `targets` filled and all else as it is; then checksums `to_renew` are renewed.

    `copied` are the bytes that stay: what is between the elements of targets with gaps is among them. Checksums
    `to_verify` are of ranges that are not overwritten as a whole: what they are of must be as they say.
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
    """The `numbers` that are elements of the tensor that `action` fills: `nbytes` from byte `offset` of a file."""

    numbers: LawRun
    action: Action
    offset: int
    nbytes: int

    def cut(self, limit: int) -> Iterator[ElementRun]:
        """The same in parts of at most `limit` bytes."""
        first, width = self.numbers.start, self.numbers.dtype.width
        step = limit // width
        for start in range(first, self.numbers.stop, step):
            stop = min(start + step, self.numbers.stop)
            offset = self.offset + (start - first) * width
            yield ElementRun(self.numbers._replace(start=start, stop=stop), self.action, offset, (stop - start) * width)


def range_of(runs: Sequence[ElementRun]) -> ByteRange:
    """The bytes of `runs`, which adjoin each other in their order."""
    return ByteRange(runs[0].offset, runs[-1].offset + runs[-1].nbytes)


def targets_by_file(actions: Iterable[Action]) -> dict[str, list[TargetBlock]]:
    """What `actions` fill of each file that they reach, each byte once."""
    found: dict[str, list[TargetBlock]] = defaultdict(list)
    for action in actions:
        for block in action.part.blocks if action.rows else action.tensor.blocks:
            if block.numel:
                found[block.file].append(TargetBlock(action, block.distinct, action.law))
    return found


def in_turn(actions: Iterable[Action]) -> Iterator[Iterator[Action]]:
    """`actions` in their order, in groups of what may be in memory at once: what is computed as a whole is alone."""
    return (group for _, group in groupby(actions, _alone))


def _alone(action: Action) -> int:
    """What tells actions apart that must not be in memory at once."""
    return id(action) if needs_preparing(type(action.law)) and isinstance(action.law, WholeLaw) else 0


def packed(runs: Iterable[ElementRun], limit: int) -> Iterator[list[ElementRun]]:
    """`runs` in groups of at most `limit` bytes, each without a gap and of one device; longer runs are cut."""
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
