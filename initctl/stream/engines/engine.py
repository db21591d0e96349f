"""The interface of an engine, and the reference implementation of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

from initctl.stream.draws import Draws
from initctl.stream.encode import encode
from initctl.stream.laws import Constant
from initctl.stream.old_values import FromOld
from initctl.stream.orthonormal import orthonormal
from initctl.stream.protocols import Overflow

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from initctl.dtypes import DType
    from initctl.stream.key import Key
    from initctl.stream.protocols import Law

    Floats = NDArray[np.float32]
    Bytes = NDArray[np.uint8]

_AT_ONCE = 1 << 15
"""Numbers that the reference computes at a time: few enough for its temporaries to stay in the processor's cache."""

_PART = 512 << 10
"""Bytes that stay in a core's own cache until they are written. More would be slower besides on a virtual machine that
gives long runs of free memory back to its host: so much as is written at once, the system takes in one run."""


class Unusable(Exception):  # noqa: N818 - a fact that execution turns into an error with tensor and initializer
    """A fill gave other than one finite number for each element."""


class LawRun(NamedTuple):
    """The numbers from `start` to `stop` of `law` under `key`, as elements of `dtype`."""

    law: Law
    key: Key
    start: int
    stop: int
    dtype: DType

    @property
    def nbytes(self) -> int:
        return (self.stop - self.start) * self.dtype.width


class Engine(Protocol):
    """Computes the values of laws. Safe to use from several threads at once."""

    @property
    def name(self) -> str:
        """What messages call it."""

    def draws(self, key: Key) -> Draws:
        """The random numbers of the tensor that `key` belongs to."""

    def buffer(self) -> Bytes:
        """Memory that `fill` writes fastest: as many bytes as are best asked for at a time."""

    def fill(self, law: Law, key: Key, start: int, stop: int, dtype: DType, out: Bytes) -> None:
        """Write the numbers from `start` to `stop` of `law` into `out`, as little-endian elements of `dtype`.

        `out` has room for exactly that. Raises `Unusable` if a law from elsewhere gives what no tensor can hold,
        and `Overflow` where old values have led there.
        """

    def fill_many(self, runs: Sequence[LawRun], out: Bytes) -> None:
        """Write `runs` one after another into `out`, each as `fill` does, which has room for exactly that.

        Worth it for many short ones: what a call costs may then be paid once.
        """


class NumpyEngine:
    """The reference: every other engine gives its bits."""

    name = "numpy"

    def __init__(self, orthonormal: Callable[[Floats], Floats] = orthonormal) -> None:
        self.orthonormal = orthonormal

    def draws(self, key: Key) -> Draws:
        return Draws(key, orthonormal=self.orthonormal)

    def buffer(self) -> Bytes:
        return np.empty(_PART, np.uint8)

    def fill(self, law: Law, key: Key, start: int, stop: int, dtype: DType, out: Bytes) -> None:
        if type(law) is Constant and out.size:
            block = np.tile(encode(np.array([law.value]), dtype), min(stop - start, _AT_ONCE))
            for reached in range(0, out.size, block.size):
                out[reached : reached + block.size] = block[: out.size - reached]
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
                raise Unusable(f"gave other than {last - first} finite numbers")

    def fill_many(self, runs: Sequence[LawRun], out: Bytes) -> None:
        fill_each(self, runs, out)

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
            raise Overflow(f"it comes to values that overflow {dtype.numpy.name}")


def fill_each(engine: Engine, runs: Sequence[LawRun], out: Bytes) -> None:
    """What `Engine.fill_many` does, run by run."""
    reached = 0
    for run in runs:
        end = reached + run.nbytes
        engine.fill(*run, out[reached:end])
        reached = end
