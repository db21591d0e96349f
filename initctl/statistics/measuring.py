"""Tensors → what each holds: read in pieces by several threads, in memory that does not grow with them."""

from __future__ import annotations

import hashlib
from functools import partial
from math import gcd
from threading import Lock, local
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from initctl.reading import TensorReader
from initctl.statistics.histogram import histograms
from initctl.statistics.tensor import TensorStatistics
from initctl.stream.engines import Moments, Work, choose
from initctl.workers import Task, Workers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from initctl.events import Progress
    from initctl.formats import Checkpoint
    from initctl.stream.engines import Engine
    from initctl.tensors import TensorSpec

_AT_ONCE = 1024 << 10
"""Bytes that stay in a core's own cache between being read and being measured."""
_TASK = 4 << 20
"""Bytes of one task."""
_SCATTERED = 8 << 20
"""Bytes of one task that are far apart in a file, and so are gathered at once: the more, the longer the runs there."""
_SAMPLED = 1 << 13
"""Numbers of a tensor that its histogram is made of at most."""
_BESIDE_DRAWING = 0.8
"""What measuring a number costs NumPy, beside drawing one."""


def measured(
    checkpoint: Checkpoint,
    tensors: Sequence[TensorSpec],
    *,
    digest: bool,
    threads: int,
    on_event: Callable[[Progress], None] | None = None,
) -> tuple[TensorStatistics, ...]:
    """What each of `tensors` of `checkpoint` holds; with `digest`, the SHA-256 of its bytes too.

    Raises `ConflictError` if the checkpoint changes meanwhile, `StorageError` if it cannot be read.
    """
    with TensorReader(checkpoint) as reader, Workers(threads, on_event) as workers:
        measuring = Measuring(tensors, reader, measuring_engine(tensors), workers, is_digested=digest)
        workers.total += measuring.nbytes
        workers.run(measuring.tasks())
    checkpoint.check_unchanged(checkpoint.files)
    return tuple(measuring.results)


def measuring_engine(tensors: Iterable[TensorSpec]) -> Engine:
    """What measures `tensors`: the same for any number of threads, because each engine rounds differently."""
    work = Work(int(sum(map(_numbers, tensors)) * _BESIDE_DRAWING), 0)
    return choose(work, threads=1).engine


class ElementSource(Protocol):
    """What tensors are read from: a `TensorReader` of a checkpoint, or what has values that are in no file yet."""

    def read(
        self, tensor: TensorSpec, start: int, stop: int, out: NDArray[np.uint8] | None = None
    ) -> NDArray[np.uint8]:
        """As `TensorReader.read` does."""

    def read_range(self, file: str, start: int, stop: int) -> NDArray[np.uint8]:
        """As `TensorReader.read_range` does."""


class Measuring:
    """Measures tensors. The tasks may run in several threads: each puts what it finds among the `results`."""

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
        self._thread = local()
        self.results = [TensorStatistics(tensor, Moments(), unreadable=_unreadable(tensor)) for tensor in tensors]

    @property
    def nbytes(self) -> int:
        """Bytes of all tensors that can be measured."""
        return sum(found.tensor.nbytes for found in self.results if not found.unreadable)

    def tasks(self) -> Iterator[Task]:
        """Tensors that are small and near each other in one file are measured together, large ones in pieces."""
        batch: list[int] = []
        for number, (tensor, *_, unreadable) in enumerate(self.results):
            if unreadable:
                continue
            if not tensor.numel:
                self.results[number] = TensorStatistics(tensor, Moments(), digest=self.digest(b""))
            elif not (len(tensor.blocks) == 1 and tensor.blocks[0].is_row_major and _numbers(tensor) <= _SAMPLED):
                yield from _Pieces(self, number).tasks()
            else:
                if batch and not self._are_near(batch, tensor):
                    yield self._batch_task(batch)
                    batch = []
                batch.append(number)
        if batch:
            yield self._batch_task(batch)

    @property
    def buffer(self) -> NDArray[np.uint8]:
        """Memory for what is read at once: each thread has its own."""
        if not hasattr(self._thread, "buffer"):
            self._thread.buffer = np.empty(_AT_ONCE, np.uint8)
        found: NDArray[np.uint8] = self._thread.buffer
        return found

    def digest(self, content: bytes | memoryview) -> str | None:
        """The SHA-256 of `content`, if it is asked for."""
        return hashlib.sha256(content).hexdigest() if self.is_digested else None

    def _are_near(self, batch: Sequence[int], tensor: TensorSpec) -> bool:
        """Whether `tensor` can be read together with those of `batch`, and viewed as numbers in what is read."""
        first, last = (self.results[number].tensor for number in (batch[0], batch[-1]))
        (begin,), (end,), (block,) = first.blocks, last.blocks, tensor.blocks
        distance = block.offset - begin.offset
        return (
            (block.file, tensor.dtype) == (begin.file, first.dtype)
            and block.offset >= end.offset + last.nbytes
            and distance % tensor.dtype.width == 0
            and distance + tensor.nbytes <= _AT_ONCE
        )

    def _batch_task(self, batch: Sequence[int]) -> Task:
        return Task(sum(self.results[number].tensor.nbytes for number in batch), partial(self._measure, batch))

    def _measure(self, batch: Sequence[int]) -> None:
        tensors = [self.results[number].tensor for number in batch]
        dtype, (first,) = tensors[0].dtype, tensors[0].blocks
        starts = [tensor.blocks[0].offset - first.offset for tensor in tensors]
        content = self.source.read_range(first.file, first.offset, first.offset + starts[-1] + tensors[-1].nbytes)
        numbers, width, sizes = content.view(dtype.numpy), dtype.width, list(map(_numbers, tensors))
        bounds = [(start // width, start // width + size) for start, size in zip(starts, sizes, strict=True)]
        moments = self.engine.measured(numbers, dtype, bounds)
        sample = np.concatenate([numbers[start:stop] for start, stop in bounds])
        found = zip(tensors, starts, moments, histograms(sample, sizes, moments), strict=True)
        for number, (tensor, start, of, histogram) in zip(batch, found, strict=True):
            digest = self.digest(content[start : start + tensor.nbytes].data)
            self.results[number] = TensorStatistics(tensor, of, histogram, digest)


class _Pieces:
    """Measures one tensor piece by piece; the last task that ends puts together what all found."""

    def __init__(self, measuring: Measuring, number: int) -> None:
        self._measuring, self._number = measuring, number
        tensor = measuring.results[number].tensor
        self._tensor = tensor if measuring.is_digested else tensor.in_file_order
        self._is_in_order = len(self._tensor.blocks) == 1 and self._tensor.blocks[0].is_row_major
        self._step = (_TASK if self._is_in_order else _SCATTERED) * 8 // tensor.dtype.bits
        self._found: list[tuple[Moments, NDArray[Any]] | None] = [None] * -(-tensor.numel // self._step)
        self._left, self._lock = len(self._found), Lock()

    def tasks(self) -> Iterator[Task]:
        """One for each piece; for all of them if a digest needs the bytes in their order."""
        at_once = len(self._found) if self._measuring.is_digested else 1
        for first in range(0, len(self._found), at_once):
            pieces = range(first, first + at_once)
            numel = min(pieces.stop * self._step, self._tensor.numel) - first * self._step
            yield Task(numel * self._tensor.dtype.bits // 8, partial(self._measure, pieces))

    def _measure(self, pieces: range) -> None:
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
        """The moments of a piece and its share of the sample; its bytes are added to `digest`."""
        tensor, dtype = self._tensor, self._tensor.dtype
        source, engine = self._measuring.source, self._measuring.engine
        stop = min((piece + 1) * self._step, tensor.numel)
        step, buffer = (_AT_ONCE * 8 // dtype.bits, self._measuring.buffer) if self._is_in_order else (self._step, None)
        moments, sample, spacing = Moments(), [], _spacing(tensor)
        for first in range(piece * self._step, stop, step):
            content = source.read(tensor, first, min(first + step, stop), buffer)
            numbers = content.view(dtype.numpy)
            moments += engine.measured(numbers, dtype, [(0, numbers.size)])[0]
            sample.append(numbers[-first * dtype.parts % spacing :: spacing].copy())
            if digest:
                digest.update(content.data)
        return moments, np.concatenate(sample)

    def _put_together(self, digest: str | None) -> None:
        """In order: sums do not depend on which task was first."""
        parts, samples = zip(*filter(None, self._found), strict=True)
        self._found.clear()
        moments, sample = sum(parts, Moments()), np.concatenate(samples)
        (histogram,) = histograms(sample, [sample.size], [moments])
        results = self._measuring.results
        results[self._number] = TensorStatistics(results[self._number].tensor, moments, histogram, digest)


def _numbers(tensor: TensorSpec) -> int:
    return tensor.numel * tensor.dtype.parts


def _spacing(tensor: TensorSpec) -> int:
    """How far apart sampled numbers are: no factor of it divides a dim, so that every column is sampled."""
    numbers = _numbers(tensor)
    spacing = -(-numbers // _SAMPLED)
    while gcd(spacing, numbers) > 1:
        spacing += 1
    return spacing


def _unreadable(tensor: TensorSpec) -> str | None:
    """Why a tensor's elements cannot be read as numbers, if they cannot."""
    if tensor.unwritable:
        return tensor.unwritable
    if tensor.dtype.kind in ("packed", "quantized"):
        return f"{tensor.dtype.name}: its bytes are codes"
    return None
