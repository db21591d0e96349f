"""Compare the bytes of a result that a plan does not write with the plan's checkpoint."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Container, Iterable, Iterator
from functools import partial
from itertools import chain
from threading import Lock
from typing import TYPE_CHECKING

import numpy as np

from initctl.audit.comparison import ranges
from initctl.audit.verification import FileDifference
from initctl.commit.copying import read_into
from initctl.filling.targets import FilledFile, targets_by_file
from initctl.layout.ranges import ByteRange, common, joined, overlap, uncovered
from initctl.reading import TensorReader, equal
from initctl.workers import Task

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from initctl.coworkers import Coworkers
    from initctl.formats import CheckpointFile
    from initctl.planning import Action
    from initctl.tensors import Block, TensorSpec

_COMPARED_AT_ONCE = 16 << 20
"""Bytes of a file that one task compares."""
_READ_AT_ONCE = 512 << 10
"""Bytes of either file that stay in a core's own cache until they are compared."""
_CHECKSUM = 4
"""Bytes of a checksum."""


class Untouched:
    """Compares the bytes that the actions of a plan, `written`, do not fill: they must be equal in both checkpoints.

    If both have the same layout, that is every byte except filled elements and their checksums. `sample` is the number
    of elements to compare of each tensor. Its tasks run in several threads.
    """

    def __init__(self, written: Iterable[Action], before: TensorReader, held: TensorReader, sample: int | None) -> None:
        self.before, self.held, self.sample = before, held, sample
        self.source, self.result = before.checkpoint, held.checkpoint
        self.compared = 0
        """Bytes."""
        self._lost: list[str] = []
        self._pairs: dict[str, tuple[CheckpointFile, CheckpointFile]] = {}
        self._pieces: dict[str, list[ByteRange]] = defaultdict(list)
        """Ranges with bytes that differ, by file of the source: of each piece, from the first to the last such byte."""
        self._lock = Lock()
        self._tensors = [tensor for tensor in (*self.source.tensors, *self.source.outside) if tensor.represents_ties]
        self._filled = targets_by_file(written)
        self._with_gaps = {
            file: [target for target in targets if not target.block.is_dense] for file, targets in self._filled.items()
        }

    def tasks(self, without: Container[str] = ()) -> Iterator[Task]:
        """Tasks that compare all such bytes, if both have the same layout, but not in the files of the source that
        `without` names.
        """
        sampled = self._sampled(self.sample) if self.sample else {}
        for was, now in zip(self.source.files, self.result.files, strict=True):
            if was.name in without:
                continue
            filled = FilledFile.of(was, self._filled.get(was.name, ()))
            checksums = [ByteRange(place, place + _CHECKSUM) for c in filled.to_renew for place in c.places]
            kept = common(filled.copied, uncovered(was.size, joined(checksums)))
            for start, stop in common(kept, joined(sampled[was.name])) if sampled else kept:
                yield from self._tasks(was, now, start, stop)
        yield from self.of_others(self.source.other_files, without)

    def of_others(self, files: Iterable[CheckpointFile], without: Container[str] = ()) -> Iterator[Task]:
        """Tasks that compare `files` of the source without tensors, but not those that `without` names. Stale copies of
        the model may be missing.
        """
        there = {file.name: file for file in self.result.other_files}
        for was in files:
            if was.name in without:
                continue
            if now := there.get(was.name):
                shorter, longer = sorted((was.size, now.size))
                if shorter < longer:
                    self._pieces[was.name].append(ByteRange(shorter, longer))
                yield from self._tasks(was, now, 0, shorter)
            elif was.name not in self.source.stale:
                self._lost.append(was.name)

    def share(self, coworkers: Coworkers) -> None:
        """Take over what `coworkers` found."""
        found = coworkers.all_of(dict(self._pieces))
        self._pieces.clear()
        for file, pieces in chain.from_iterable(each.items() for each in found):
            self._pieces[file] += pieces

    @property
    def suspects(self) -> list[TensorSpec]:
        """Tensors that may differ, because a differing range is within theirs."""
        pieces = {file: joined(found) for file, found in self._pieces.items()}
        return [
            tensor
            for tensor in (self._tensors if pieces else ())
            for file, places in within([tensor]).items()
            if any(overlap(pieces.get(file, ()), *place) for place in places)
        ]

    @property
    def differing(self) -> dict[str, list[ByteRange]]:
        """Ranges with bytes that differ, by file of the result."""
        return {self._pairs[file][1].name: list(pieces) for file, pieces in self._pieces.items()}

    def differences(self, explained: Callable[[TensorSpec], object]) -> Iterator[FileDifference]:
        """What is wrong with each file: it is missing, or a byte differs. Bytes of `explained` tensors do not count."""
        yield from (FileDifference(file, "is missing") for file in self._lost)
        elsewhere = within(filter(explained, self._tensors if self._pieces else ()))
        for file, pieces in sorted(self._pieces.items()):
            was, now = self._pairs[file]
            beside = uncovered(max(was.size, now.size), joined(elsewhere[file]))
            if (at := self._first(was, now, common(joined(pieces), beside))) is not None:
                yield FileDifference(now.name, f"byte {at:,} differs", at)

    def _sampled(self, sample: int) -> dict[str, list[ByteRange]]:
        """The bytes between tensors, and a sample of each tensor, by file of the source."""
        places = within(self._tensors)
        found = {file.name: uncovered(file.size, joined(places[file.name])) for file in self.source.files}
        for tensor in self._tensors:
            together = max(1, sample * tensor.dtype.bits // 8)
            for file, whole in within([tensor]).items():
                found[file] += [ByteRange(*some) for place in whole for some in ranges(*place, together)]
        return found

    def _tasks(self, was: CheckpointFile, now: CheckpointFile, start: int, stop: int) -> Iterator[Task]:
        self._pairs[was.name] = was, now
        self.compared += stop - start
        for first in range(start, stop, _COMPARED_AT_ONCE):
            last = min(first + _COMPARED_AT_ONCE, stop)
            yield Task(last - first, partial(self._compare, was, now, first, last))

    def _compare(self, was: CheckpointFile, now: CheckpointFile, start: int, stop: int) -> None:
        if found := list(self._differing(was, now, start, stop)):
            with self._lock:
                self._pieces[was.name] += found

    def _first(self, was: CheckpointFile, now: CheckpointFile, ranges: Iterable[ByteRange]) -> int | None:
        """The first byte in `ranges` of a file that differs. A byte beyond the end of the other file differs."""
        end = min(was.size, now.size)
        for start, stop in ranges:
            if piece := next(self._differing(was, now, start, min(stop, end)), None):
                return piece.start
            if stop > end:
                return max(start, end)
        return None

    def _differing(self, was: CheckpointFile, now: CheckpointFile, start: int, stop: int) -> Iterator[ByteRange]:
        """Ranges from `start` to `stop` with bytes that differ and are not filled: of each piece that is read at once,
        from the first such byte to the last.
        """
        one, other = (np.empty(max(0, min(_READ_AT_ONCE, stop - start)), np.uint8) for _ in range(2))
        with self.before.opened(was.name) as before, self.held.opened(now.name) as held:
            for first in range(start, stop, _READ_AT_ONCE):
                wanted, found = (room[: stop - first] for room in (one, other))
                read_into(before, wanted.data, first)
                read_into(held, found.data, first)
                if equal(wanted, found):
                    continue
                differing = wanted != found
                for target in self._with_gaps.get(was.name, ()):
                    _leave_out(differing, first, target.block, target.width)
                if (places := np.flatnonzero(differing)).size:
                    yield ByteRange(first + int(places[0]), first + int(places[-1]) + 1)


def within(tensors: Iterable[TensorSpec]) -> dict[str, list[ByteRange]]:
    """The ranges of files that contain the elements of `tensors`, by file."""
    found: dict[str, list[ByteRange]] = defaultdict(list)
    for tensor in tensors:
        for block in tensor.blocks if tensor.numel else ():
            stop = block.offset + block.extent * tensor.dtype.bits // 8
            found[block.file].append(ByteRange(block.offset, stop))
    return found


def _leave_out(differing: NDArray[np.bool_], start: int, block: Block, width: int) -> None:
    """Clear the places of a block's elements in `differing`, whose first byte is number `start` of the file."""
    first, last = block.offset - start, block.offset + block.extent * width - start
    if last <= 0 or first >= differing.size:
        return
    if first >= 0 and last <= differing.size:
        strides = [stride * width for stride in block.strides]
        np.lib.stride_tricks.as_strided(differing[first:last], (*block.shape, width), (*strides, 1))[...] = False
        return
    if block.numel == 1:
        differing[max(0, first) : last] = False
        return
    dim = max((d for d, size in enumerate(block.shape) if size > 1), key=lambda dim: block.strides[dim])
    half = block.shape[dim] // 2
    _leave_out(differing, start, block.part(dim, 0, half, width), width)
    _leave_out(differing, start, block.part(dim, half, block.shape[dim], width), width)
