"""The reference engine, in plain NumPy. Other engines are subclasses of it, and give the same bits."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from initctl.stream.deterministic_laws import SAME_EVERYWHERE, Constant, Diagonals
from initctl.stream.draws import Draws
from initctl.stream.engines.distances import Distance, distance_of
from initctl.stream.engines.moments import Moments, moments_of
from initctl.stream.orthonormal import orthonormal
from initctl.stream.protocols import FromOld, Law, Overflow

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from initctl.dtypes import DType
    from initctl.stream.key import Key

    Floats = NDArray[np.float32]
    Bytes = NDArray[np.uint8]

_AT_ONCE = 1 << 15
"""Numbers that the reference computes at a time: its temporary arrays fit into the processor's cache."""

_PART = 512 << 10
"""Bytes of a buffer: they stay in a core's own cache until they are written. More would also be slower on a virtual
machine that returns long runs of free memory to its host, since the system allocates one run for each write."""


class Unusable(Exception):  # noqa: N818 - a fact that execution turns into an error with tensor and initializer
    """A law did not return one finite number for each element."""


class LawRun(NamedTuple):
    """The numbers of `law` with `key` from `start` to `stop`, as elements of `dtype`."""

    law: Law
    key: Key
    start: int
    stop: int
    dtype: DType

    @property
    def nbytes(self) -> int:
        return (self.stop - self.start) * self.dtype.width


class Engine:
    """Computes the values of laws. Safe to use from several threads at once."""

    name = "numpy"
    """Its name in messages."""

    def __init__(self, orthonormal: Callable[[Floats], Floats] = orthonormal) -> None:
        self.orthonormal = orthonormal

    def draws(self, key: Key) -> Draws:
        """The random numbers of the tensor with `key`."""
        return Draws(key, orthonormal=self.orthonormal)

    def buffer(self) -> Bytes:
        """Memory of the size, and of the kind, that `fill` writes fastest."""
        return np.empty(_PART, np.uint8)

    def fill(self, runs: Sequence[LawRun], out: Bytes) -> None:
        """Write `runs` one after another into `out`, which has exactly their size, as little-endian elements.

        Raises `Unusable` if a package's law returns values that no tensor can hold, and `Overflow` if values computed
        from old ones are too large.
        """
        reached = 0
        for run in runs:
            end = reached + run.nbytes
            self.fill_run(run, out[reached:end])
            reached = end

    def fill_run(self, run: LawRun, out: Bytes) -> None:
        """The same for one run."""
        law, key, start, stop, dtype = run
        if type(law) in SAME_EVERYWHERE and out.size:
            block = np.tile(np.frombuffer(repeated(law, dtype), np.uint8), min(stop - start, _AT_ONCE))
            for reached in range(0, out.size, block.size):
                out[reached : reached + block.size] = block[: out.size - reached]
            return
        if type(law) is Diagonals:
            out[...] = 0
            out.reshape(-1, dtype.width)[law.ones(start, stop) - start] = encode(np.ones(1), dtype)
            return
        draws, width = self.draws(key), dtype.width
        for first in range(start, stop, _AT_ONCE):
            last = min(first + _AT_ONCE, stop)
            values = law.values(draws, first, last)
            written = out[(first - start) * width : (last - start) * width]
            if isinstance(law, FromOld):
                self._encode_from_old(values, dtype, written)
            elif values.shape == (last - first,) and np.isfinite(values).all():
                self.encode(values, dtype, written)
            else:
                raise Unusable(f"did not return {last - first} finite numbers")

    def measured(self, numbers: NDArray[Any], dtype: DType, bounds: Sequence[tuple[int, int]]) -> list[Moments]:
        """The moments of runs of stored `numbers`, parts of elements of `dtype`. Each run is between its `bounds`."""
        return [moments_of(numbers[start:stop], dtype) for start, stop in bounds]

    def distances(
        self, one: NDArray[Any], dtype: DType, other: NDArray[Any], other_dtype: DType, run: int
    ) -> list[Distance]:
        """The distances between stored numbers, parts of the same number of elements: one for each `run` of elements,
        and one for the rest.
        """
        count = one.size // dtype.parts
        return [
            self._distance(one, dtype, other, other_dtype, range(start, min(start + run, count)))
            for start in range(0, count, run)
        ]

    @staticmethod
    def _distance(
        one: NDArray[Any], dtype: DType, other: NDArray[Any], other_dtype: DType, elements: range
    ) -> Distance:
        found = Distance()
        for first in elements[::_AT_ONCE]:
            last = min(first + _AT_ONCE, elements.stop)
            some, others = (
                numbers[first * of.parts : last * of.parts] for numbers, of in ((one, dtype), (other, other_dtype))
            )
            found += distance_of(some, dtype, others, other_dtype)
        return found

    def encode(self, values: NDArray[Any], dtype: DType, out: Bytes) -> None:
        """Write finite `values` into `out` as elements of `dtype`."""
        out[...] = encode(values, dtype)

    def _encode_from_old(self, values: NDArray[Any], dtype: DType, out: Bytes) -> None:
        """The same for any numbers. Raises `Overflow` if finite ones do not stay finite."""
        if values.dtype == np.float32 and float(np.abs(values).max()) <= dtype.largest:
            self.encode(values, dtype, out)
            return
        out[...] = encode(values, dtype)
        stored = out.view(dtype.numpy)
        if values.dtype != stored.dtype and (np.isfinite(values) & ~np.isfinite(stored)).any():
            raise Overflow(f"its values overflow {dtype.numpy.name}")


def repeated(law: Law, dtype: DType) -> bytes:
    """The little-endian bytes that `law`, one of `SAME_EVERYWHERE`, gives each part of an element of `dtype`."""
    if isinstance(law, Constant):
        return encode(np.array([law.value]), dtype).tobytes()
    return dtype.nan.to_bytes(dtype.width, "little")


def encode(values: NDArray[Any], dtype: DType) -> NDArray[np.uint8]:
    """The little-endian bytes of `values` (one for each real number) as elements of `dtype`, rounded once.

    Values of that dtype keep their bits. float32 values are rounded to nearest even for narrower dtypes, and widened
    exactly to doubles. Values of other types are constants: exact for integers, bools and doubles, and rounded through
    float32 for the rest, so that a bfloat16 file is the rounding of the float32 one. Values that are too large become
    infinite, or NaN if the dtype has no infinity.
    """
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        if dtype.is_floating and not dtype.is_double and values.dtype != dtype.numpy:
            values = values.astype(np.float32, copy=False)
        stored = values.astype(dtype.numpy, copy=False)
    return np.ascontiguousarray(stored, stored.dtype.newbyteorder("<")).view(np.uint8)
