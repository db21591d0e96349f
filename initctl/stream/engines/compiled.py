"""The compiled engine: loops from words to bytes, whose temporary memory fits into a processor's cache."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from math import nan
from threading import local
from typing import TYPE_CHECKING, Any

import numpy as np

from initctl.dtypes import BY_NAME, DType
from initctl.stream.draws import Draws
from initctl.stream.engines.abi import DISTANCE, DTYPE, GIVEN, MOMENTS, NORMAL, SCRATCH, UNDRAWN, WORDS
from initctl.stream.engines.batch import Batch, Form, dtype_fields
from initctl.stream.engines.distances import Distance
from initctl.stream.engines.engine import Engine, LawRun
from initctl.stream.engines.moments import Moments
from initctl.stream.engines.object_code import kernels
from initctl.stream.engines.selfcheck import gives_reference_bits
from initctl.stream.key import Key
from initctl.stream.laws import Fused
from initctl.stream.orthonormal import orthonormal
from initctl.stream.philox import LANES
from initctl.workers import Task, Workers

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from initctl.stream.engines.object_code import Kernels

    Floats = NDArray[np.float32]
    Bytes = NDArray[np.uint8]

_STANDARD = -0.0, 1.0
"""Mean and standard deviation. Adding a mean of -0 changes no number, not even -0."""
_FLOAT32 = BY_NAME["float32"]
_NO_KEY = Key(0, 0)
_HIGHEST = 0x7FFFFFFF
"""The largest whole number of 32 bits."""
_NOTHING_FOUND = np.array([(nan, 0, 0, _HIGHEST, ~_HIGHEST, 0, 0, 0, 0)], MOMENTS)
"""The moments of no numbers: see `MOMENTS`."""
_WIDEST = 8
"""Bytes of the widest part of an element."""
_WORTH_A_RUN = 256
"""The least numbers of a separate run: for fewer, preparing the run takes longer than computing them."""
_COLUMNS_AT_ONCE = 64
"""Columns that one thread ranks at a time."""


class CompiledEngine(Engine):
    """Computes random laws on floating-point tensors with compiled loops, everything else like the reference.

    Raises `NoCompiler` if there is no compiled code for this machine, and compiling fails.
    """

    name = "compiled"

    def __init__(self, orthonormal: Callable[[Floats], Floats] = orthonormal, *, threads: int = 1) -> None:
        super().__init__(orthonormal)
        self.threads = threads
        self.kernels = kernels(self._proves)

    def draws(self, key: Key) -> CompiledDraws:
        return CompiledDraws(key, orthonormal=self.orthonormal, engine=self)

    def fill(self, runs: Sequence[LawRun], out: Bytes) -> None:
        """Computes all runs that the kernel knows by one call of it.

        The reference computes the others. It computes all runs if old values give a value that is not finite, since it
        can decide whether this is an error.
        """
        batch, left = Batch(), []
        beside = reached = out.ctypes.data % _WIDEST
        for run in _parts(runs):
            begin, form = reached, batch.form_of(run)
            reached += (run.stop - run.start) * form.width
            place, between = divmod(begin, form.width)
            if form.number is None or between:
                left.append((run, out[begin - beside : reached - beside]))
            else:
                batch.add(form.number, run.key, run.start, run.stop, place)
        if not self._fill(batch, out.ctypes.data - beside):
            super().fill(runs, out)
            return
        for run, written in left:
            self.fill_run(run, written)

    def encode(self, values: Floats, dtype: DType, out: Bytes) -> None:
        if values.dtype != np.float32 or not dtype.is_floating or out.ctypes.data % dtype.width:
            super().encode(values, dtype, out)
            return
        form = Form(UNDRAWN, then=GIVEN, table=np.ascontiguousarray(values))
        self.compute(form, _NO_KEY, 0, values.size, out, dtype)

    def measured(self, numbers: NDArray[Any], dtype: DType, bounds: Sequence[tuple[int, int]]) -> list[Moments]:
        if not dtype.is_floating or dtype.width > _FLOAT32.width:
            return super().measured(numbers, dtype, bounds)
        runs = np.array(bounds, np.int64)
        found = _NOTHING_FOUND.repeat(len(runs))
        self.call("measured", numbers, len(runs), runs, _fields(dtype).address, _SCRATCH.address, found)
        each = zip(bounds, found.tolist(), _extremes(found, dtype).tolist(), strict=True)
        return [_moments(stop - start, *of) for (start, stop), *of in each]

    def distances(
        self, one: NDArray[Any], dtype: DType, other: NDArray[Any], other_dtype: DType, run: int
    ) -> list[Distance]:
        if not all(d.kind == "float" and d.width <= _FLOAT32.width for d in (dtype, other_dtype)):
            return super().distances(one, dtype, other, other_dtype, run)
        found = np.zeros(-(-one.size // run), DISTANCE)
        fields = _fields(dtype).address, _fields(other_dtype).address
        self.call("distances", one, other, one.size, run, *fields, _SCRATCH.address, found)
        return list(map(Distance._make, found.tolist()))

    def compute(self, form: Form, key: Key, start: int, stop: int, out: NDArray[Any], dtype: DType = _FLOAT32) -> None:
        """Write the numbers of a law from `start` to `stop`."""
        batch = Batch()
        batch.add(batch.number_of(form, dtype), key, start, stop, 0)
        self._fill(batch, out.ctypes.data)

    def _fill(self, batch: Batch, address: int) -> bool:
        """Call the kernel. Returns whether all values that old ones gave are finite."""
        _SCRATCH.content["is_beyond"] = False
        self.call("fill", *batch.arguments(), _SCRATCH.address, address)
        return not _SCRATCH.content["is_beyond"]

    def _proves(self, kernels: Kernels) -> bool:
        """Whether `kernels`, just compiled, compute the reference's bits."""
        self.kernels = kernels
        return gives_reference_bits(self)

    def call(self, kernel: str, *arguments: int | NDArray[Any]) -> None:
        """Call a kernel with numbers and the addresses of contiguous arrays, which must live until it returns."""
        self.kernels[kernel](*[a.ctypes.data if isinstance(a, np.ndarray) else a for a in arguments])


@dataclass(frozen=True, slots=True)
class CompiledDraws(Draws):
    """The same random numbers, by compiled loops. Methods that are not here use those that are."""

    engine: CompiledEngine = field(kw_only=True)

    def words(self, start: int, stop: int, *, stream: int = 0) -> NDArray[np.uint32]:
        words = np.empty(stop - start, np.uint32)
        self.engine.compute(Form(WORDS, stream=stream), self.key, start, stop, words)
        return words

    def normal01(self, start: int, stop: int, *, stream: int = 0) -> Floats:
        values = np.empty(stop - start, np.float32)
        self.engine.compute(Form(NORMAL, _STANDARD, stream=stream), self.key, start, stop, values)
        return values

    def added(self, total: float, numbers: NDArray[Any], *, around: float | None = None) -> float:
        sums = np.array([total, nan if around is None else around], np.float64)
        fields = _fields(BY_NAME[numbers.dtype.name]).address
        self.engine.call("added", np.ascontiguousarray(numbers), numbers.size, fields, sums, _SCRATCH.address)
        return float(sums[0])

    def kth_smallest(self, rows: int, columns: int, k: int, *, stream: int = 0) -> NDArray[np.uint64]:
        found = np.empty(columns, np.uint64)

        def rank_from(first: int) -> None:
            last = min(first + _COLUMNS_AT_ONCE, columns)
            words = np.empty(LANES * rows, np.uint32)
            self.engine.call("kth_smallest", *self.key, stream, rows, columns, first, last, k, words, found[first:last])

        with Workers(self.engine.threads) as workers:
            workers.run(Task(0, partial(rank_from, first)) for first in range(0, columns, _COLUMNS_AT_ONCE))
        return found


def _parts(runs: Iterable[LawRun]) -> Iterator[LawRun]:
    """The same elements, in runs of one law if these are long enough."""
    for run in runs:
        law = run.law
        if type(law) is Fused and law.shortest >= _WORTH_A_RUN:
            for part, start, stop in law.runs(run.start, run.stop):
                yield LawRun(part, run.key, start, stop, run.dtype)
        else:
            yield run


def _extremes(found: NDArray[Any], dtype: DType) -> NDArray[np.float64]:
    """The smallest and the largest number of each run, from their codes: see `abi.MOMENTS`."""
    ranks = np.stack([found["lowest"], found["highest"]], 1)
    codes = ranks ^ (ranks >> 63 & (1 << (8 * dtype.width - 1)) - 1)
    extremes: NDArray[np.float64] = codes.astype(f"i{dtype.width}").view(dtype.numpy).astype(np.float64)
    return extremes


def _moments(count: int, found: tuple[Any, ...], extremes: tuple[float, float]) -> Moments:
    """The result of the kernel `measured` for `count` numbers, with the extremes as numbers."""
    around, total, squares, _, _, undefined, infinite, zeros, subnormal = found
    if not (finite := count - undefined - infinite):
        return Moments(count, nan=undefined, infinite=infinite)
    distance = total / finite
    deviation = max(squares - finite * distance**2, 0.0)
    return Moments(count, around + distance, deviation, *extremes, undefined, infinite, zeros, subnormal)


class _Memory:
    """An array with its address, for repeated calls: finding the address takes a microsecond."""

    def __init__(self, content: NDArray[Any]) -> None:
        self.content, self.address = content, content.ctypes.data


@cache
def _fields(dtype: DType) -> _Memory:
    """`dtype` in the form of the kernels."""
    return _Memory(np.array(dtype_fields(dtype), DTYPE))


class _Scratch(local, _Memory):
    """Temporary memory of the kernels, separate for each thread."""

    def __init__(self) -> None:
        super().__init__(np.empty((), SCRATCH))


_SCRATCH = _Scratch()
