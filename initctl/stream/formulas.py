"""Laws that a formula gives: of a uniform logarithm, sinusoids, logarithms, a Hadamard matrix.

Logarithms, exponentials and sines are computed in float64, and rounded to float32 once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from initctl.stream.laws import inner_bounds
from initctl.stream.protocols import Deterministic

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from initctl.stream.draws import Draws

    Floats = NDArray[np.float32]
    Doubles = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class LogUniform:
    """e^u of a u that is uniform between ln `a` and ln `b`, never outside [a, b]."""

    a: float
    b: float

    @property
    def largest(self) -> float:
        return self.b

    @property
    def logarithms(self) -> tuple[float, float]:
        return _logarithms(self.a, self.b)

    def values(self, draws: Draws, start: int, stop: int) -> Floats:
        import numpy as np

        values = _log_uniform(self.a, self.b, draws, start, stop).astype(np.float32)
        low, high = map(np.float32, inner_bounds(self.a, self.b))
        return np.clip(values, low, high)


@dataclass(frozen=True, slots=True)
class InverseSoftplus:
    """ln(e^x - 1), of which the softplus is x, of a log-uniform x, or of `floor` where x is smaller."""

    a: float
    b: float
    floor: float

    @property
    def largest(self) -> float:
        """At either end, and half a unit more for the rounding."""
        import numpy as np

        ends = np.maximum(np.array([self.a, self.b]), self.floor)
        return float(np.abs(_inverse_softplus(ends)).max() * (1 + 2.0**-24))

    @property
    def logarithms(self) -> tuple[float, float]:
        return _logarithms(self.a, self.b)

    def values(self, draws: Draws, start: int, stop: int) -> Floats:
        import numpy as np

        steps = np.maximum(_log_uniform(self.a, self.b, draws, start, stop), self.floor)
        return _inverse_softplus(steps).astype(np.float32)


@dataclass(frozen=True, slots=True)
class Sinusoid(Deterministic):
    """Rows [sin(t·w), cos(t·w)] for row number t, where w falls from 1 to 1 / `max_timescale` in equal ratios.

    transformers computes it in float32, where t·w has lost some 1e-7 · t to rounding.
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

    def at(self, start: int, stop: int) -> Floats:
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
        """At either end: a logarithm below 1 is negative, and the more so the closer to 0."""
        import numpy as np

        return float(np.abs(self._of(np.array([0, self.columns - 1]))).max())

    def at(self, start: int, stop: int) -> Floats:
        import numpy as np

        return self._of(np.arange(start, stop) % self.columns)

    def _of(self, column: NDArray[np.int64]) -> Floats:
        import numpy as np

        from initctl.stream.elementary64 import natural_log

        return natural_log(self.start + column.astype(np.float64)).astype(np.float32)


@dataclass(frozen=True, slots=True)
class Hadamard(Deterministic):
    """The first `columns` columns of a Hadamard matrix times `scale`, at the tap `centre` of kernels of `taps`, else 0.

    Sylvester's matrix: row i has -1 in column j where i and j have an odd number of binary ones in common, else 1.
    """

    columns: int
    scale: float
    taps: int
    centre: int

    @property
    def largest(self) -> float:
        return self.scale

    def at(self, start: int, stop: int) -> Floats:
        import numpy as np

        first, last = ((place - self.centre + self.taps - 1) // self.taps for place in (start, stop))
        entry = np.arange(first, last, dtype=np.uint64)
        row = entry // np.uint64(self.columns)
        common = row & (entry - row * np.uint64(self.columns))
        values = np.zeros(stop - start, np.float32)
        signs = np.array([self.scale, -self.scale], np.float32)
        values[first * self.taps + self.centre - start :: self.taps] = signs[np.bitwise_count(common) & 1]
        return values


def _logarithms(a: float, b: float) -> tuple[float, float]:
    import numpy as np

    from initctl.stream.elementary64 import natural_log

    low, high = natural_log(np.array([a, b])).tolist()
    return low, high


def _log_uniform(a: float, b: float, draws: Draws, start: int, stop: int) -> Doubles:
    import numpy as np

    from initctl.stream.elementary64 import exponential

    low, high = _logarithms(a, b)
    return np.clip(exponential(low + (high - low) * draws.fraction01(start, stop)), a, b)


def _inverse_softplus(x: Doubles) -> Doubles:
    from initctl.stream.elementary64 import natural_log, one_minus_exponential

    return x + natural_log(one_minus_exponential(x))
