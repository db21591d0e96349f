"""Laws without random numbers: constants, tables, diagonals, and formulas of the index.

Logarithms, exponentials and sines are computed in float64, and rounded to float32 once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from initctl.stream.protocols import Deterministic

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from initctl.stream.draws import Draws

    Floats = NDArray[np.float32]
    Doubles = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Constant(Deterministic):
    """`value` everywhere: exact if it is a whole number, otherwise rounded once to the tensor's dtype."""

    value: float

    @property
    def largest(self) -> float:
        return abs(self.value)

    @property
    def exact(self) -> tuple[float, ...]:
        return (self.value,)

    def values(self, _: Draws, start: int, stop: int) -> NDArray[Any]:
        import numpy as np

        return np.full(stop - start, self.value)


@dataclass(frozen=True, slots=True)
class NotANumber(Deterministic):
    """NaN everywhere, with the bits of the tensor's dtype, `DType.nan`: engines write them without `values`.

    Both parts of a complex element are NaN.
    """

    @property
    def largest(self) -> float:
        """NaN has no magnitude."""
        return 0

    def values(self, _: Draws, start: int, stop: int) -> Floats:
        import numpy as np

        return np.full(stop - start, np.nan, np.float32)


SAME_EVERYWHERE = (Constant, NotANumber)
"""The laws that give every element the same bytes."""


@dataclass(frozen=True, slots=True)
class Table:
    """Values that are already computed, in an array of the tensor's shape and of any memory layout.

    The array may also have only some of the rows, from element `origin` on.
    """

    table: NDArray[Any]
    origin: int = 0

    @property
    def largest(self) -> float:
        return float(abs(self.table).max())

    def values(self, draws: Draws, start: int, stop: int) -> NDArray[Any]:  # noqa: ARG002 - the protocol's signature
        start, stop = start - self.origin, stop - self.origin
        if not self.table.shape:
            return self.table.reshape(-1)[start:stop]
        width = self.table.size // len(self.table)
        first = start // width
        return self.table[first : -(-stop // width)].reshape(-1)[start - first * width : stop - first * width]


@dataclass(frozen=True, slots=True)
class Diagonals(Deterministic):
    """Zeros, with ones at the indices `origin + g · stride + j · step` for g < `groups` and j < `count`.

    A run of ones ends before the next begins: `(count - 1) · step` is less than `stride`, or there is one run.
    """

    origin: int
    step: int
    count: int
    groups: int = 1
    stride: int = 0

    @property
    def largest(self) -> float:
        return 1

    @property
    def exact(self) -> tuple[float, ...]:
        return 0, 1

    def values(self, _: Draws, start: int, stop: int) -> Floats:
        import numpy as np

        values = np.zeros(stop - start, np.float32)
        values[self.ones(start, stop) - start] = 1
        return values

    def ones(self, start: int, stop: int) -> NDArray[np.int64]:
        """The indices of the ones from `start` to `stop`."""
        import numpy as np

        reach = self.origin + (self.count - 1) * self.step
        nearest = max(0, -(-(start - reach) // self.stride)) if self.stride else 0
        beyond = max(0, -(-(stop - self.origin) // self.stride)) if self.stride else self.groups
        found = [np.empty(0, np.int64)]
        for group in range(nearest, min(self.groups, beyond)):
            first = self.origin + group * self.stride
            below = max(0, -(-(start - first) // self.step))
            within = min(self.count, max(0, -(-(stop - first) // self.step)))
            found.append(first + self.step * np.arange(below, within))
        return np.concatenate(found)


@dataclass(frozen=True, slots=True)
class Interval(Deterministic):
    """`value` at indices `first` ≤ i < `last`, else 0."""

    first: int
    last: int
    value: float

    @property
    def largest(self) -> float:
        return abs(self.value)

    def values(self, _: Draws, start: int, stop: int) -> Floats:
        import numpy as np

        values = np.zeros(stop - start, np.float32)
        values[max(self.first - start, 0) : max(self.last - start, 0)] = self.value
        return values


@dataclass(frozen=True, slots=True)
class Sinusoid(Deterministic):
    """Rows [sin(t·w), cos(t·w)] for row number t; w falls from 1 to 1 / `max_timescale` in equal ratios.

    transformers computes it in float32, so its t·w has a rounding error of about 1e-7 · t.
    """

    channels: int
    max_timescale: float

    @property
    def largest(self) -> float:
        return 1

    @property
    def frequencies(self) -> Doubles:
        """w, for half of the channels."""
        import numpy as np

        from initctl.stream.elementary64 import exponential, natural_log

        half = self.channels // 2
        step = natural_log(np.array([self.max_timescale])) / (half - 1)
        return exponential(-(step * np.arange(half)))

    def values(self, _: Draws, start: int, stop: int) -> Floats:
        import numpy as np

        from initctl.stream.elementary64 import sin_cos

        row, channel = np.divmod(np.arange(start, stop), self.channels)
        half = self.channels // 2
        sine, cosine = sin_cos(row * self.frequencies[channel % half])
        return np.where(channel < half, sine, cosine).astype(np.float32)


@dataclass(frozen=True, slots=True)
class CountedLog(Deterministic):
    """Rows of ln(`start`), ln(`start` + 1), …, each of `columns`."""

    columns: int
    start: float

    @property
    def largest(self) -> float:
        """The larger magnitude of both ends: logarithms of numbers near 0 are negative and large."""
        import numpy as np

        return float(np.abs(self._of(np.array([0, self.columns - 1]))).max())

    def values(self, _: Draws, start: int, stop: int) -> Floats:
        import numpy as np

        return self._of(np.arange(start, stop) % self.columns)

    def _of(self, column: NDArray[np.int64]) -> Floats:
        import numpy as np

        from initctl.stream.elementary64 import natural_log

        return natural_log(self.start + column.astype(np.float64)).astype(np.float32)


@dataclass(frozen=True, slots=True)
class Hadamard(Deterministic):
    """The first `columns` columns of a Hadamard matrix times `scale`, at the tap `centre` of kernels of `taps`, else 0.

    Sylvester's matrix: row i has -1 in column j if i and j share an odd number of binary ones, else 1.
    """

    columns: int
    scale: float
    taps: int
    centre: int

    @property
    def largest(self) -> float:
        return self.scale

    def values(self, _: Draws, start: int, stop: int) -> Floats:
        import numpy as np

        first, last = ((place - self.centre + self.taps - 1) // self.taps for place in (start, stop))
        entry = np.arange(first, last, dtype=np.uint64)
        row = entry // np.uint64(self.columns)
        common = row & (entry - row * np.uint64(self.columns))
        values = np.zeros(stop - start, np.float32)
        signs = np.array([self.scale, -self.scale], np.float32)
        values[first * self.taps + self.centre - start :: self.taps] = signs[np.bitwise_count(common) & 1]
        return values
