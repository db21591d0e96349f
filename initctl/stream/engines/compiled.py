"""The compiled engine: loops from words to bytes, without a temporary larger than a processor's cache."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from initctl.dtypes import BY_NAME
from initctl.stream.draws import Draws
from initctl.stream.engines.abi import NORMAL, SCRATCH, WORDS
from initctl.stream.engines.batch import Batch, fields_of
from initctl.stream.engines.engine import LawRun, NumpyEngine
from initctl.stream.engines.object_code import kernels
from initctl.stream.engines.selfcheck import gives_reference_bits
from initctl.stream.engines.tabled import tabled
from initctl.stream.fused import Fused
from initctl.stream.laws import LARGEST_FLOAT32
from initctl.stream.orthonormal import orthonormal
from initctl.stream.philox import LANES
from initctl.threads import submit

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from initctl.dtypes import DType
    from initctl.stream.engines.batch import KernelLaw
    from initctl.stream.engines.object_code import Kernels
    from initctl.stream.key import Key
    from initctl.stream.protocols import Law

    Floats = NDArray[np.float32]
    Bytes = NDArray[np.uint8]

_STANDARD_NORMAL = NORMAL, (-0.0, 1.0)
"""A mean of -0 leaves every number as it is, -0 too."""
_FLOAT32 = BY_NAME["float32"]
_WIDEST = 8
"""Bytes of the widest part of an element."""
_WORTH_A_RUN = 256
"""Numbers that take the kernels longer than preparing a run for them does."""
_COLUMNS_AT_ONCE = 64
"""Columns that one thread ranks at a time."""


class CompiledEngine(NumpyEngine):
    """Random laws on floating-point tensors by compiled loops, everything else as the reference does it.

    Raises `NoCompiler` if there is no code for this machine and none can be made.
    """

    name = "compiled"

    def __init__(self, orthonormal: Callable[[Floats], Floats] = orthonormal, *, threads: int = 1) -> None:
        super().__init__(orthonormal)
        self.threads = threads
        self.kernels = kernels(self._proves)

    def draws(self, key: Key) -> CompiledDraws:
        return CompiledDraws(key, orthonormal=self.orthonormal, engine=self)

    def fill(self, law: Law, key: Key, start: int, stop: int, dtype: DType, out: Bytes) -> None:
        batch, is_aligned = Batch(), not out.ctypes.data % dtype.width
        form = batch.form(law, dtype)
        if is_aligned and form.law is not None:
            batch.add(form, key, start, stop, 0)
            self._fill(batch, out)
        elif type(law) is Fused and law.shortest >= _WORTH_A_RUN:
            runs = [LawRun(part, key, first, last, dtype) for part, first, last in law.runs(start, stop)]
            self.fill_many(runs, out)
        elif not (is_aligned and dtype.is_floating and self._fill_from(law, key, start, stop, dtype, out)):
            super().fill(law, key, start, stop, dtype, out)

    def fill_many(self, runs: Sequence[LawRun], out: Bytes) -> None:
        """One call of the kernel for all runs that it knows; so if `out` begins at a multiple of the widest element."""
        if out.ctypes.data % _WIDEST:
            super().fill_many(runs, out)
            return
        batch, reached = Batch(), 0
        for law, key, start, stop, dtype in runs:
            form = batch.form(law, dtype)
            begin, reached = reached, reached + (stop - start) * form.width
            place, beside = divmod(begin, form.width)
            if beside or form.law is None:
                self.fill(law, key, start, stop, dtype, out[begin:reached])
            else:
                batch.add(form, key, start, stop, place)
        self._fill(batch, out)

    def encode(self, values: Floats, dtype: DType, out: Bytes) -> None:
        if values.dtype != np.float32 or not dtype.is_floating or out.ctypes.data % dtype.width:
            super().encode(values, dtype, out)
            return
        self.call("encode", np.ascontiguousarray(values), values.size, fields_of(dtype), out)

    def compute(self, law: KernelLaw, key: Key, start: int, stop: int, stream: int, out: NDArray[Any]) -> None:
        """Write the numbers from `start` to `stop` of a law, in 32 bits each."""
        batch = Batch()
        batch.add(batch.numbered(law, _FLOAT32), key, start, stop, 0, stream=stream)
        self._fill(batch, out)

    def _fill(self, batch: Batch, out: NDArray[Any]) -> None:
        self.call("fill", *batch.arguments, *_scratch(), out)

    def _fill_from(self, law: Law, key: Key, start: int, stop: int, dtype: DType, out: Bytes) -> bool:
        """Whether the kernel knows `law` with a table, and has computed it.

        The reference decides what old values lead to that are not finite, or do not stay so.
        """
        known, largest = tabled(law, start, stop), np.zeros(1, np.int64)
        if known:
            run, matrix = (known.law, *key, known.stream, start, stop), (known.row, known.columns, known.table)
            self.call("fill_from", *run, *matrix, fields_of(dtype), *_scratch(), out, largest)
        return known is not None and largest[0] <= _largest_bits(dtype)

    def _proves(self, kernels: Kernels) -> bool:
        """Whether `kernels`, just compiled, compute the reference's bits."""
        self.kernels = kernels
        return gives_reference_bits(self)

    def call(self, kernel: str, *arguments: int | NDArray[Any]) -> None:
        """Call a kernel with numbers and the addresses of contiguous arrays, which live as long as the call."""
        self.kernels[kernel](*(a.ctypes.data if isinstance(a, np.ndarray) else a for a in arguments))


@dataclass(frozen=True, slots=True)
class CompiledDraws(Draws):
    """The same random numbers, by compiled loops; what is not here follows from what is."""

    engine: CompiledEngine = field(kw_only=True)

    def words(self, start: int, stop: int, *, stream: int = 0) -> NDArray[np.uint32]:
        words = np.empty(stop - start, np.uint32)
        self.engine.compute((WORDS, ()), self.key, start, stop, stream, words)
        return words

    def normal01(self, start: int, stop: int, *, stream: int = 0) -> Floats:
        values = np.empty(stop - start, np.float32)
        self.engine.compute(_STANDARD_NORMAL, self.key, start, stop, stream, values)
        return values

    def added(self, total: float, numbers: NDArray[Any], *, around: float | None = None) -> float:
        sums, fields = np.array([total, around or 0.0]), fields_of(BY_NAME[numbers.dtype.name])
        numbers = np.ascontiguousarray(numbers)
        self.engine.call("added", numbers, numbers.size, fields, around is not None, sums, _scratch()[1])
        return float(sums[0])

    def kth_smallest(self, rows: int, columns: int, k: int, *, stream: int = 0) -> NDArray[np.uint64]:
        found = np.empty(columns, np.uint64)

        def rank_from(first: int) -> None:
            last = min(first + _COLUMNS_AT_ONCE, columns)
            words = np.empty(LANES * rows, np.uint32)
            self.engine.call("kth_smallest", *self.key, stream, rows, columns, first, last, k, words, found[first:last])

        with ThreadPoolExecutor(self.engine.threads) as pool:
            ranked = [submit(pool, rank_from, first) for first in range(0, columns, _COLUMNS_AT_ONCE)]
            for future in ranked:
                future.result()
        return found


def _scratch() -> tuple[NDArray[np.uint32], Floats, NDArray[np.float64]]:
    """Memory that the kernels use while they run."""
    return np.empty(SCRATCH, np.uint32), np.empty(4 * SCRATCH, np.float32), np.empty(2 * SCRATCH)


@cache
def _largest_bits(dtype: DType) -> int:
    """The bits of the largest number of `dtype` that is one of float32."""
    return int(np.float32(min(dtype.largest, LARGEST_FLOAT32)).view(np.int32))
