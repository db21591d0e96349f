"""All bytes of a result that a plan does not write, held against the checkpoint that the plan is for."""

from __future__ import annotations

import os
from bisect import bisect_right
from collections import defaultdict
from dataclasses import dataclass
from itertools import accumulate
from threading import Lock
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from initctl.audit.comparison import ranges
from initctl.audit.differences import FileDifference
from initctl.filling.order import read_array
from initctl.filling.ranges import common, filled_ranges, joined, kept_ranges, overlap

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from initctl.filling import TensorReader
    from initctl.filling.ranges import Range
    from initctl.formats import CheckpointFile
    from initctl.planning import Plan
    from initctl.tensors import Block, TensorSpec

_COMPARED_AT_ONCE = 4 << 20
"""Bytes of a file that are compared as one piece."""
_CHECKSUM = 4
"""Bytes of one."""


class Extent(NamedTuple):
    """Bytes `start` to `stop` of a file, which elements of `tensor` lie within."""

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
        """Tensors, by identity, within whose extent something differs: in which file, and the first byte."""
        self._lost: list[str] = []
        self._found: dict[str, int] = {}
        self._extents: dict[str, list[Extent]] = defaultdict(list)
        self._written: dict[str, list[tuple[Block, int]]] = defaultdict(list)
        self._lock = Lock()
        for tensor in (*self.source.tensors, *self.source.outside):
            for block in tensor.blocks if tensor.is_first and tensor.numel else ():
                stop = block.offset + block.extent * tensor.dtype.bits // 8
                self._extents[block.file].append(Extent(block.offset, stop, tensor))
        for extents in self._extents.values():
            extents.sort(key=lambda extent: extent.start)
        self._reached = {file: list(accumulate((e.stop for e in ext), max)) for file, ext in self._extents.items()}
        """How far the extents of a file up to each of them reach, in order of their beginnings."""
        for action in plan.written:
            for block in action.part.blocks if action.part.numel else ():
                self._written[block.file].append((block.distinct, action.tensor.dtype.bits // 8))

    @property
    def differences(self) -> tuple[FileDifference, ...]:
        """What is wrong with each file, as far as that lies in no tensor."""
        lost = (FileDifference(file, "is not there") for file in self._lost)
        return (*lost, *(another_byte(file, at) for file, at in sorted(self._found.items())))

    def pieces(self) -> Iterator[BytesPiece]:
        """What compares it."""
        yield from self._of_tensor_files()
        yield from self.of_others(self.source.other_files)

    def _of_tensor_files(self) -> Iterator[BytesPiece]:
        for was, now in zip(self.source.files, self.result.files, strict=True):
            written = self._written[was.name]
            filled = filled_ranges((block, width) for block, width in written if block.is_dense)
            reached = filled_ranges(written)
            stale = [checksum for checksum in was.checksums if overlap(reached, checksum.start, checksum.stop)]
            checksums = [(place, place + _CHECKSUM) for checksum in stale for place in checksum.places]
            for start, stop in self._looked_at(was, joined([*filled, *checksums])):
                yield from self._pieces(was, now, start, stop)

    def of_others(self, files: Iterable[CheckpointFile]) -> Iterator[BytesPiece]:
        """What compares `files` of the source that hold no tensors. Those with the same model once more may be gone."""
        there = {file.name: file for file in self.result.other_files}
        for was in files:
            if was.name not in there:
                self._lost += [was.name] if was.name not in self.source.stale else []
                continue
            now = there[was.name]
            if was.size != now.size:
                self.note(now.name, min(was.size, now.size))
            yield from self._pieces(was, now, 0, min(was.size, now.size))

    def _looked_at(self, file: CheckpointFile, left_out: Sequence[Range]) -> list[Range]:
        """The bytes of a file that are compared: without those `left_out`, and of tensors a sample."""
        kept = kept_ranges(file.size, left_out)
        if self.sample is None:
            return kept
        beside = kept_ranges(file.size, joined([*left_out, *((e.start, e.stop) for e in self._extents[file.name])]))
        sampled = [
            found
            for extent in self._extents[file.name]
            for found in ranges(extent.start, extent.stop, max(1, self.sample * extent.tensor.dtype.bits // 8))
        ]
        return joined([*beside, *common(joined(sampled), kept)])

    def _pieces(self, was: CheckpointFile, now: CheckpointFile, start: int, stop: int) -> Iterator[BytesPiece]:
        for first in range(start, stop, _COMPARED_AT_ONCE):
            yield BytesPiece(was, now, first, min(first + _COMPARED_AT_ONCE, stop), self)

    def compare(self, was: CheckpointFile, now: CheckpointFile, start: int, stop: int) -> None:
        """Hold the bytes of a file from `start` to `stop` against what they were."""
        differing = _read(self.before, was, start, stop) != _read(self.held, now, start, stop)
        with self._lock:
            self.compared += stop - start
        if not differing.any():
            return
        for block, width in self._written[was.name]:
            if not block.is_dense:
                _leave_out(differing, start, block, width)
        beside = differing.copy()
        extents = self._extents.get(was.name, [])
        for number in range(bisect_right(self._reached.get(was.name, []), start), len(extents)):
            extent = extents[number]
            if extent.start >= stop:
                break
            places = slice(max(0, extent.start - start), max(0, extent.stop - start))
            if differing[places].any():
                at = max(start, extent.start) + int(np.argmax(differing[places]))
                self._suspect(extent.tensor, now.name, at)
                beside[places] = False
        if beside.any():
            self.note(now.name, start + int(np.argmax(beside)))

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
class BytesPiece:
    """Bytes `start` to `stop` of a file, to be compared with what they were; writes nothing."""

    was: CheckpointFile
    now: CheckpointFile
    start: int
    stop: int
    untouched: Untouched

    @property
    def offset(self) -> int:
        return self.start

    @property
    def nbytes(self) -> int:
        return self.stop - self.start

    def write(self, destination: int) -> None:  # noqa: ARG002 - it only looks
        self.untouched.compare(self.was, self.now, self.start, self.stop)


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


def _read(reader: TensorReader, file: CheckpointFile, start: int, stop: int) -> NDArray[np.uint8]:
    """Bytes of a file; of those that no tensors lie in there may be too many to keep them open."""
    if file in reader.checkpoint.files:
        return reader.bytes_of(file.name, start, stop)
    descriptor = reader.checkpoint.open(file)
    try:
        return read_array(descriptor, start, stop)
    finally:
        os.close(descriptor)
