"""Tensors → statistics of each. They are read in pieces by several threads, so that memory does not grow with them."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from functools import partial
from math import gcd
from threading import Lock
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from initctl.coworkers import ALONE, merged
from initctl.layout.pieces import Pieces, grouped
from initctl.reading import Buffers, TensorReader
from initctl.statistics.histogram import histograms
from initctl.statistics.tensor import TensorStatistics
from initctl.stream.engines import Moments, Work, choose
from initctl.workers import Task, Workers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from initctl.coworkers import Coworkers
    from initctl.dtypes import DType
    from initctl.events import Progress
    from initctl.formats import Checkpoint
    from initctl.stream.engines import Engine
    from initctl.tensors import TensorSpec

_ADDED_UP = 1 << 20
"""Moments are computed for pieces of this many bytes, and then added up. The size affects how sums are rounded."""
_SAMPLED = 1 << 13
"""The largest number of a tensor's numbers in its histogram."""
_BESIDE_DRAWING = 0.8
"""The cost of measuring a number with NumPy, relative to drawing one."""


def measured(
    checkpoint: Checkpoint,
    tensors: Sequence[TensorSpec],
    *,
    digest: bool,
    threads: int,
    coworkers: Coworkers = ALONE,
    on_event: Callable[[Progress], None] | None = None,
) -> tuple[TensorStatistics, ...]:
    """Statistics of each of `tensors` of `checkpoint`; with `digest`, the SHA-256 of its bytes too. Each of `coworkers`
    measures some, and all get all.

    Raises `ConflictError` if the checkpoint changes meanwhile, and `StorageError` if it cannot be read.
    """
    own = coworkers.own([tensor.nbytes for tensor in tensors])
    with TensorReader(checkpoint) as reader, Workers(threads, on_event) as workers:
        mine = [tensors[number] for number in own]
        measuring = Measuring(mine, reader, measuring_engine(tensors), workers, is_digested=digest)
        workers.total += measuring.nbytes
        workers.run(measuring.tasks())
    checkpoint.check_unchanged(checkpoint.files)
    found = merged(coworkers.all_of(dict(zip(own, measuring.results, strict=True))))
    return tuple(found[number]._replace(tensor=tensor) for number, tensor in enumerate(tensors))


def measuring_engine(tensors: Iterable[TensorSpec]) -> Engine:
    """The engine that measures `tensors`. Engines round differently, so it does not depend on the number of threads."""
    work = Work(int(sum(map(_numbers, tensors)) * _BESIDE_DRAWING), 0)
    return choose(work, threads=1).engine


class ElementSource(Protocol):
    """Tensors are read from it: a `TensorReader`, or something with values that are not in a file yet."""

    def read(
        self, tensor: TensorSpec, start: int, stop: int, out: NDArray[np.uint8] | None = None
    ) -> NDArray[np.uint8]:
        """Like `TensorReader.read`."""

    def read_range(self, file: str, start: int, stop: int, out: NDArray[np.uint8] | None = None) -> NDArray[np.uint8]:
        """Like `TensorReader.read_range`."""


class Measuring:
    """Measures tensors. Its tasks may run in several threads, and put what they find into `results`."""

    def __init__(
        self,
        tensors: Sequence[TensorSpec],
        source: ElementSource,
        engine: Engine,
        workers: Workers,
        *,
        is_digested: bool,
    ) -> None:
        self.source, self.engine, self.workers, self.is_digested = source, engine, workers, is_digested
        self.buffers = Buffers()
        self.results = [TensorStatistics(tensor, Moments(), unreadable=_unreadable(tensor)) for tensor in tensors]

    @property
    def nbytes(self) -> int:
        """Bytes of all tensors that can be measured."""
        return sum(found.tensor.nbytes for found in self.results if not found.unreadable)

    def tasks(self) -> Iterator[Task]:
        """Small tensors that are near each other in one file are measured together, large ones in pieces."""
        for numbers, is_small in grouped(self._measurable(), _SAMPLED):
            if is_small:
                yield Task(sum(self._tensor(number).nbytes for number in numbers), partial(self._measure, numbers))
            else:
                yield from _LargeTensor(self, *numbers).tasks()

    def _measurable(self) -> Iterator[tuple[int, tuple[TensorSpec]]]:
        """Tensors with elements that can be read. Sets the results of tensors without elements."""
        for number, (tensor, *_, unreadable) in enumerate(self.results):
            if tensor.numel and not unreadable:
                yield number, (tensor,)
            elif not unreadable:
                self.results[number] = TensorStatistics(tensor, Moments(), digest=self.digest(b""))

    def digest(self, content: bytes | memoryview) -> str | None:
        """The SHA-256 of `content`; None if digests are not wanted."""
        return hashlib.sha256(content).hexdigest() if self.is_digested else None

    def _tensor(self, number: int) -> TensorSpec:
        return self.results[number].tensor

    def _measure(self, numbers: Sequence[int]) -> None:
        """Measure small tensors, which one call reads."""
        first, last = self._tensor(numbers[0]), self._tensor(numbers[-1])
        (begin,), (end,) = first.blocks, last.blocks
        content = self.source.read_range(begin.file, begin.offset, end.offset + last.nbytes, *self.buffers.each)
        starts = {number: self._tensor(number).blocks[0].offset - begin.offset for number in numbers}
        kinds: dict[tuple[DType, int], dict[int, int]] = defaultdict(dict)
        for number in numbers:
            start = self._tensor(number).blocks[0].offset - begin.offset
            dtype = self._tensor(number).dtype
            beside = start % dtype.width
            kinds[dtype, beside][number] = start - beside
        for (dtype, beside), starts in kinds.items():
            self._measure_alike(content[beside:].copy() if beside else content, dtype, starts)

    def _measure_alike(self, content: NDArray[np.uint8], dtype: DType, starts: Mapping[int, int]) -> None:
        """Measure small tensors of one dtype in `content`. `starts` has the offset of each."""
        width, sizes = dtype.width, [_numbers(self._tensor(number)) for number in starts]
        stored = content[: content.size // width * width].view(dtype.numpy)
        bounds = [(start // width, start // width + size) for start, size in zip(starts.values(), sizes, strict=True)]
        moments = self.engine.measured(stored, dtype, bounds)
        sample = np.concatenate([stored[start:stop] for start, stop in bounds])
        found = zip(starts.items(), moments, histograms(sample, sizes, moments), strict=True)
        for (number, start), of, histogram in found:
            tensor = self._tensor(number)
            digest = self.digest(content[start : start + tensor.nbytes].data)
            self.results[number] = TensorStatistics(tensor, of, histogram, digest)


class _LargeTensor:
    """Measures one tensor piece by piece. The last task to end puts the results together."""

    def __init__(self, measuring: Measuring, number: int) -> None:
        self._measuring, self._number = measuring, number
        tensor = measuring.results[number].tensor
        self._tensor = tensor if measuring.is_digested else tensor.in_file_order
        self._pieces, self._spacing = Pieces.of([self._tensor]), _spacing(tensor)
        self._found: list[tuple[Moments, NDArray[Any]] | None] = [None] * self._pieces.number
        self._left, self._lock = self._pieces.number, Lock()

    def tasks(self) -> Iterator[Task]:
        """One for each piece. With a digest, which needs the bytes in order, one for all pieces."""
        if self._measuring.is_digested:
            yield Task(self._tensor.nbytes, partial(self._measure, range(self._pieces.number)))
            return
        for piece in range(self._pieces.number):
            start, stop = self._pieces.bounds(piece)
            yield Task((stop - start) * self._tensor.dtype.bits // 8, partial(self._measure, [piece]))

    def _measure(self, pieces: Sequence[int]) -> None:
        digest = hashlib.sha256() if self._measuring.is_digested else None
        for piece in pieces:
            if self._measuring.workers.is_stopping:
                return
            self._found[piece] = self._measured(piece, digest)
        with self._lock:
            self._left -= len(pieces)
            if not self._left:
                self._put_together(digest.hexdigest() if digest else None)

    def _measured(self, piece: int, digest: hashlib._Hash | None) -> tuple[Moments, NDArray[Any]]:
        """The moments of a piece, and its part of the sample. Its bytes are added to `digest`."""
        tensor, dtype, spacing = self._tensor, self._tensor.dtype, self._spacing
        source, engine = self._measuring.source, self._measuring.engine
        buffers = self._measuring.buffers.each if tensor.is_in_order else []
        run = _ADDED_UP // dtype.width if tensor.is_in_order else self._pieces.size * dtype.parts
        moments, sample = Moments(), []
        for start, stop in self._pieces.steps(piece):
            content = source.read(tensor, start, stop, *buffers)
            numbers = content.view(dtype.numpy)
            bounds = [(first, min(first + run, numbers.size)) for first in range(0, numbers.size, run)]
            moments = sum(engine.measured(numbers, dtype, bounds), moments)
            sample.append(numbers[-start * dtype.parts % spacing :: spacing].copy())
            if digest:
                digest.update(content.data)
        return moments, np.concatenate(sample)

    def _put_together(self, digest: str | None) -> None:
        """Add up in order, so that sums do not depend on which task was first."""
        parts, samples = zip(*filter(None, self._found), strict=True)
        self._found.clear()
        moments, sample = sum(parts, Moments()), np.concatenate(samples)
        (histogram,) = histograms(sample, [sample.size], [moments])
        results = self._measuring.results
        results[self._number] = TensorStatistics(results[self._number].tensor, moments, histogram, digest)


def _numbers(tensor: TensorSpec) -> int:
    return tensor.numel * tensor.dtype.parts


def _spacing(tensor: TensorSpec) -> int:
    """The distance between sampled numbers. No factor of it divides a dimension, so that every column is sampled."""
    numbers = _numbers(tensor)
    spacing = -(-numbers // _SAMPLED)
    while gcd(spacing, numbers) > 1:
        spacing += 1
    return spacing


def _unreadable(tensor: TensorSpec) -> str | None:
    """Why a tensor's elements cannot be read as numbers; None if they can."""
    if tensor.unwritable:
        return tensor.unwritable
    if tensor.dtype.kind in ("packed", "quantized"):
        return f"{tensor.dtype.name} holds codes, not numbers"
    return None
