"""The compiled engine: loops from words to bytes, without a temporary larger than a processor's cache."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from initctl.stream.draws import Draws
from initctl.stream.encode import encode
from initctl.stream.engines.abi import (
    LAYOUT_FIELDS,
    NORMAL,
    PARAMETERS,
    SCRATCH_REALS,
    SCRATCH_WORDS,
    TRUNC_NORMAL,
    UNIFORM,
    WORDS,
)
from initctl.stream.engines.engine import NumpyEngine
from initctl.stream.engines.object_code import kernels
from initctl.stream.engines.selfcheck import gives_reference_bits
from initctl.stream.fused import Fused
from initctl.stream.laws import Normal, TruncNormal, Uniform, ZeroedNormal
from initctl.stream.orthonormal import orthonormal
from initctl.stream.philox import LANES
from initctl.threads import submit

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from initctl.dtypes import DType
    from initctl.stream.engines.object_code import Kernels
    from initctl.stream.key import Key
    from initctl.stream.laws import Law

    Floats = NDArray[np.float32]
    Bytes = NDArray[np.uint8]
    KernelLaw = tuple[int, Sequence[float]]

_STANDARD_NORMAL = NORMAL, (-0.0, 1.0)
"""A mean of -0 leaves every number as it is, -0 too."""
_WORTH_A_CALL = 1024
"""Numbers that take the kernels longer than calling them does."""
_COLUMNS_AT_ONCE = 64
"""Columns that one thread ranks at a time."""


class CompiledEngine(NumpyEngine):
    """Random laws on floating-point tensors by compiled loops, everything else as the reference does it.

    Raises `NoCompiler` where there is no code for this machine and none can be made.
    """

    name = "compiled"

    def __init__(self, orthonormal: Callable[[Floats], Floats] = orthonormal, *, threads: int = 1) -> None:
        super().__init__(orthonormal)
        self.threads = threads
        self.kernels = kernels(self._proves)

    def draws(self, key: Key) -> CompiledDraws:
        return CompiledDraws(key, orthonormal=self.orthonormal, engine=self)

    def fill(self, law: Law, key: Key, start: int, stop: int, dtype: DType, out: Bytes) -> None:
        known = _known(law)
        if not dtype.is_floating or out.ctypes.data % dtype.width:
            super().fill(law, key, start, stop, dtype, out)
        elif known:
            self.compute(known, key, start, stop, _layout(dtype), out)
        elif type(law) is ZeroedNormal and law.parts == 1:
            self.compute_zeroed(law, key, start, stop, _layout(dtype), out)
        elif type(law) is Fused and law.shortest >= _WORTH_A_CALL:
            for part, first, last in law.runs(start, stop):
                room = out[(first - start) * dtype.width : (last - start) * dtype.width]
                self.fill(part, key, first, last, dtype, room)
        else:
            super().fill(law, key, start, stop, dtype, out)

    def encode(self, values: Floats, dtype: DType, out: Bytes) -> None:
        if values.dtype != np.float32 or not dtype.is_floating or out.ctypes.data % dtype.width:
            super().encode(values, dtype, out)
            return
        self.call("encode", np.ascontiguousarray(values), values.size, _layout(dtype), out)

    def compute(
        self, law: KernelLaw, key: Key, start: int, stop: int, layout: NDArray[np.int64], out: Bytes, *, stream: int = 0
    ) -> None:
        """Write the numbers from `start` to `stop` of a law, laid out as `layout` says, to the address of `out`."""
        kind, numbers = law
        parameters = np.zeros(PARAMETERS)
        parameters[: len(numbers)] = numbers
        self.call("fill", kind, *key, stream, start, stop, parameters, layout, *_scratch(), out)

    def compute_zeroed(
        self, law: ZeroedNormal, key: Key, start: int, stop: int, layout: NDArray[np.int64], out: Bytes
    ) -> None:
        """The same for a law that has a column's cutoffs besides."""
        parameters, cutoffs = np.array([-0.0, law.std]), np.ascontiguousarray(law.cutoffs)
        matrix = (parameters, cutoffs.size, cutoffs)
        self.call("fill_zeroed", *key, law.stream, start, stop, *matrix, layout, *_scratch(), out)

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
        self.engine.compute((WORDS, ()), self.key, start, stop, _FLOAT32, words.view(np.uint8), stream=stream)
        return words

    def normal01(self, start: int, stop: int, *, stream: int = 0) -> Floats:
        values = np.empty(stop - start, np.float32)
        self.engine.compute(_STANDARD_NORMAL, self.key, start, stop, _FLOAT32, values.view(np.uint8), stream=stream)
        return values

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


def _scratch() -> tuple[NDArray[np.uint32], Floats]:
    """Memory that the kernels use while they run."""
    return np.empty(SCRATCH_WORDS, np.uint32), np.empty(SCRATCH_REALS, np.float32)


def _known(law: Law) -> KernelLaw | None:
    """What the kernels call `law`; nothing where they have none. A subclass may compute anything, so it is none."""
    if type(law) is Uniform:
        return UNIFORM, (law.a, law.b - law.a)
    if type(law) is Normal:
        return NORMAL, (law.mean, law.std)
    if type(law) is TruncNormal:
        return TRUNC_NORMAL, (law.mean, law.std, *map(float, law.inner_bounds), *law.tails, -1 if law.is_above else 1)
    return None


@cache
def _layout(dtype: DType) -> NDArray[np.int64]:
    """`dtype` as the kernels know it: see `abi.LAYOUT_FIELDS`."""
    import ml_dtypes

    fields = np.zeros(LAYOUT_FIELDS, np.int64)
    fields[0] = dtype.width
    if dtype.width < np.dtype(np.float32).itemsize:
        kind = ml_dtypes.finfo(dtype.numpy)  # type: ignore[no-untyped-call]
        with np.errstate(over="ignore"):
            largest, overflow, minus_zero = (
                int.from_bytes(encode(np.array([value], np.float32), dtype).tobytes(), "little")
                for value in (kind.max, np.finfo(np.float32).max, -0.0)
            )
        fields[1:] = kind.nmant, 1 - kind.minexp, largest, overflow, minus_zero != 0
    return fields


_FLOAT32 = np.array([4, *[0] * (LAYOUT_FIELDS - 1)], np.int64)
