"""Tensors → what each holds: read in pieces by several threads, in memory that does not grow with them."""

from __future__ import annotations

import hashlib
from functools import partial
from math import gcd
from threading import Lock
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from initctl.reading import TensorReader
from initctl.statistics.histogram import Histogram
from initctl.statistics.tensor import TensorStatistics
from initctl.stream.engines import Moments, Work, choose
from initctl.workers import Task, Workers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from initctl.events import Progress
    from initctl.formats import Checkpoint
    from initctl.stream.engines import Engine
    from initctl.tensors import TensorSpec

_AT_ONCE = 1024 << 10
"""Bytes that stay in a core's own cache between being read and being measured."""
_TASK = 4 << 20
"""Bytes of one task."""
_SAMPLED = 1 << 15
"""Numbers of a tensor that its histogram is made of at most, but for a few."""
_BESIDE_DRAWING = 0.3
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
    numbers = sum(tensor.numel * tensor.dtype.parts for tensor in tensors)
    engine = choose(Work(int(numbers * _BESIDE_DRAWING), 0), threads=threads).engine
    meters = [Meter(tensor, engine, is_digested=digest) for tensor in tensors]
    with TensorReader(checkpoint) as reader, Workers(threads, on_event) as workers:
        workers.total += sum(meter.nbytes for meter in meters)
        workers.run(task for meter in meters for task in meter.tasks(reader))
    checkpoint.check_unchanged(checkpoint.files)
    return tuple(meter.result for meter in meters)


class _Piece(NamedTuple):
    """What one task found."""

    moments: Moments
    sample: NDArray[Any]


class Meter:
    """Measures one tensor. Its tasks may run in several threads; the last of them makes the histogram."""

    def __init__(self, tensor: TensorSpec, engine: Engine, *, is_digested: bool) -> None:
        reason = _unreadable(tensor)
        of_nothing = hashlib.sha256().hexdigest() if is_digested and not (reason or tensor.numel) else None
        self.result = TensorStatistics(tensor, Moments(), digest=of_nothing, unreadable=reason)
        self._tensor, self._engine, self._is_digested = tensor, engine, is_digested
        self._pieces: list[_Piece | None] = []
        self._left, self._lock = 0, Lock()

    @property
    def nbytes(self) -> int:
        """Bytes that are read."""
        return 0 if self.result.unreadable else self._tensor.nbytes

    def tasks(self, reader: TensorReader) -> Iterator[Task]:
        """A digest needs the bytes in their order: then it is one task."""
        tensor = self._tensor
        if not self.nbytes:
            return
        step = tensor.numel if self._is_digested else max(_TASK * 8 // tensor.dtype.bits, 1)
        starts = range(0, tensor.numel, step)
        self._left, self._pieces = len(starts), [None] * len(starts)
        for number, start in enumerate(starts):
            stop = min(start + step, tensor.numel)
            yield Task((stop - start) * tensor.dtype.bits // 8, partial(self._measure, reader, number, start, stop))

    def _measure(self, reader: TensorReader, number: int, start: int, stop: int) -> None:
        dtype = self._tensor.dtype
        width, spacing = dtype.bits // 8, self._spacing
        moments, sample = Moments(), []
        digest = hashlib.sha256() if self._is_digested else None
        for first in range(start, stop, max(_AT_ONCE // width, 1)):
            content = reader.read(self._tensor, first, min(first + max(_AT_ONCE // width, 1), stop))
            numbers = content.view(dtype.numpy)
            moments += self._engine.measured(numbers, dtype)
            sample.append(numbers[-first * dtype.parts % spacing :: spacing].copy())
            if digest:
                digest.update(content.data)
        with self._lock:
            self._pieces[number] = _Piece(moments, np.concatenate(sample))
            self._left -= 1
            if self._left:
                return
        pieces = [piece for piece in self._pieces if piece]  # all, in order: sums do not depend on who was first
        self._pieces.clear()
        moments = sum((piece.moments for piece in pieces), Moments())
        histogram = Histogram.of(np.concatenate([piece.sample for piece in pieces]), moments)
        self.result = self.result._replace(
            moments=moments, histogram=histogram, digest=digest.hexdigest() if digest else None
        )

    @property
    def _spacing(self) -> int:
        """Every so many numbers are in the sample: never in a few columns only."""
        numbers = self._tensor.numel * self._tensor.dtype.parts
        columns = self._tensor.shape[-1] * self._tensor.dtype.parts if self._tensor.shape else 1
        spacing = -(-numbers // _SAMPLED)
        while gcd(spacing, columns) > 1:
            spacing += 1
        return spacing


def _unreadable(tensor: TensorSpec) -> str | None:
    """Why a tensor's elements cannot be read as numbers, if they cannot."""
    if tensor.unwritable:
        return tensor.unwritable
    if tensor.dtype.kind in ("packed", "quantized"):
        return f"{tensor.dtype.name}: its bytes are codes"
    return None
