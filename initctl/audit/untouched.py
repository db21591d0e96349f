"""All bytes of a result that a plan does not write, held against the checkpoint that the plan is for."""

from __future__ import annotations

import os
from bisect import bisect_right
from collections import defaultdict
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import accumulate
from threading import Lock
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from initctl.audit.comparison import equal, ranges
from initctl.audit.differences import FileDifference
from initctl.commit import read_into
from initctl.layout import ByteRange, covered, joined, overlap, uncovered

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from initctl.formats import CheckpointFile
    from initctl.planning import Plan
    from initctl.reading import TensorReader
    from initctl.tensors import Block, TensorSpec

_COMPARED_AT_ONCE = 16 << 20
"""Bytes of a file that one task compares."""
_READ_AT_ONCE = 512 << 10
"""Bytes of either file that stay in a core's own cache until they are compared."""
_CHECKSUM = 4
"""Bytes of one."""


class TensorRange(NamedTuple):
    """Bytes `start` to `stop` of a file, which the elements of `tensor` are within."""

    start: int
    stop: int
    tensor: TensorSpec


class Untouched:
    """What a plan does not write, in a result of the checkpoint that it is for.

    Where both are laid out alike that is every byte but those of filled elements, and the checksums of these; with a
    `sample`, of each tensor just as much as so many elements. Used from several threads.
    """

    def __init__(self, plan: Plan, before: TensorReader, held: TensorReader, sample: int | None) -> None:
        self.before, self.held, self.sample = before, held, sample
        self.source, self.result = before.checkpoint, held.checkpoint
        self.compared = 0
        """Bytes."""
        self.suspects: dict[int, tuple[TensorSpec, str, int]] = {}
        """Tensors, by identity, within whose range something differs: in which file, and the first byte."""
        self._lost: list[str] = []
        self._found: dict[str, int] = {}
        self._ranges: dict[str, list[TensorRange]] = defaultdict(list)
        self._written: dict[str, list[tuple[Block, int]]] = defaultdict(list)
        self._lock = Lock()
        for tensor in (*self.source.tensors, *self.source.outside):
            for block in tensor.blocks if tensor.is_first and tensor.numel else ():
                stop = block.offset + block.extent * tensor.dtype.bits // 8
                self._ranges[block.file].append(TensorRange(block.offset, stop, tensor))
        for found in self._ranges.values():
            found.sort(key=lambda one: one.start)
        self._reached = {file: list(accumulate((r.stop for r in found), max)) for file, found in self._ranges.items()}
        """How far the ranges of a file up to each of them reach, in order of their beginnings."""
        for action in plan.written:
            part = action.part
            for block in part.blocks if part.numel else ():
                self._written[block.file].append((block.distinct, action.tensor.dtype.bits // 8))

    @property
    def differences(self) -> tuple[FileDifference, ...]:
        """What is wrong with each file, as far as that is in no tensor."""
        lost = (FileDifference(file, "is not there") for file in self._lost)
        return (*lost, *(another_byte(file, at) for file, at in sorted(self._found.items())))

    def tasks(self) -> Iterator[BytesTask]:
        """What compares it."""
        yield from self._of_tensor_files()
        yield from self.of_others(self.source.other_files)

    def _of_tensor_files(self) -> Iterator[BytesTask]:
        for was, now in zip(self.source.files, self.result.files, strict=True):
            written = self._written[was.name]
            filled = covered((block, width) for block, width in written if block.is_dense)
            reached = covered(written)
            stale = [checksum for checksum in was.checksums if overlap(reached, checksum.start, checksum.stop)]
            checksums = [ByteRange(place, place + _CHECKSUM) for checksum in stale for place in checksum.places]
            for start, stop in self._looked_at(was, joined([*filled, *checksums])):
                yield from self._tasks(was, now, start, stop)

    def of_others(self, files: Iterable[CheckpointFile]) -> Iterator[BytesTask]:
        """What compares `files` of the source that hold no tensors. Those with the same model once more may be gone."""
        there = {file.name: file for file in self.result.other_files}
        for was in files:
            if was.name not in there:
                self._lost += [was.name] if was.name not in self.source.stale else []
                continue
            now = there[was.name]
            if was.size != now.size:
                self.note(now.name, min(was.size, now.size))
            yield from self._tasks(was, now, 0, min(was.size, now.size))

    def _looked_at(self, file: CheckpointFile, left_out: Sequence[ByteRange]) -> list[ByteRange]:
        """The bytes of a file that are compared: without those `left_out`, and of tensors a sample."""
        if self.sample is None:
            return uncovered(file.size, left_out)
        tensors = self._ranges[file.name]
        sampled = [
            ByteRange(*found)
            for start, stop, tensor in tensors
            for found in ranges(start, stop, max(1, self.sample * tensor.dtype.bits // 8))
        ]
        outside = uncovered(file.size, joined(ByteRange(r.start, r.stop) for r in tensors))
        not_looked_at = uncovered(file.size, joined([*outside, *sampled]))
        return uncovered(file.size, joined([*left_out, *not_looked_at]))

    def _tasks(self, was: CheckpointFile, now: CheckpointFile, start: int, stop: int) -> Iterator[BytesTask]:
        self.compared += stop - start
        for first in range(start, stop, _COMPARED_AT_ONCE):
            yield BytesTask(was, now, first, min(first + _COMPARED_AT_ONCE, stop), self)

    def look_closer(self, was: str, now: str, start: int, differing: NDArray[np.bool_]) -> None:
        """Note which bytes of a file are `differing`, from byte `start` on: in tensors, or beside them."""
        stop = start + differing.size
        for block, width in self._written[was]:
            if not block.is_dense:
                _leave_out(differing, start, block, width)
        beside = differing.copy()
        found = self._ranges.get(was, [])
        for number in range(bisect_right(self._reached.get(was, []), start), len(found)):
            begin, end, tensor = found[number]
            if begin >= stop:
                break
            places = slice(max(0, begin - start), max(0, end - start))
            if differing[places].any():
                self._suspect(tensor, now, max(start, begin) + int(np.argmax(differing[places])))
                beside[places] = False
        if beside.any():
            self.note(now, start + int(np.argmax(beside)))

    def _suspect(self, tensor: TensorSpec, file: str, at: int) -> None:
        with self._lock:
            found = tensor, file, at
            self.suspects[id(tensor)] = min(found, self.suspects.get(id(tensor), found), key=lambda known: known[1:])

    def note(self, file: str, at: int) -> None:
        """Note that byte number `at` of `file` differs."""
        with self._lock:
            known = self._found.get(file)
            self._found[file] = at if known is None else min(known, at)


@dataclass(frozen=True, slots=True)
class BytesTask:
    """Compares bytes `start` to `stop` of a file with what they were."""

    was: CheckpointFile
    now: CheckpointFile
    start: int
    stop: int
    untouched: Untouched

    @property
    def nbytes(self) -> int:
        return self.stop - self.start

    def run(self) -> None:
        one, other = (np.empty(min(_READ_AT_ONCE, self.nbytes), np.uint8) for _ in range(2))
        with _opened(self.untouched.before, self.was) as before, _opened(self.untouched.held, self.now) as held:
            for start in range(self.start, self.stop, _READ_AT_ONCE):
                wanted, found = (room[: self.stop - start] for room in (one, other))
                read_into(before, wanted.data, start)
                read_into(held, found.data, start)
                if not equal(wanted, found):
                    self.untouched.look_closer(self.was.name, self.now.name, start, wanted != found)


def another_byte(file: str, at: int) -> FileDifference:
    return FileDifference(file, f"byte {at:,} differs", at)


def _leave_out(differing: NDArray[np.bool_], start: int, block: Block, width: int) -> None:
    """Clear the places of a block's elements in what is known of the bytes from `start` on."""
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


@contextmanager
def _opened(reader: TensorReader, file: CheckpointFile) -> Iterator[int]:
    """A descriptor of a file; of those without tensors there may be too many to keep them open."""
    if file in reader.checkpoint.files:
        with reader.opened(file.name) as descriptor:
            yield descriptor
        return
    descriptor = reader.checkpoint.open(file)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
