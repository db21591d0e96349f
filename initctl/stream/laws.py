"""Random laws, and several laws side by side. A law is plain data; an initializer gives one for each tensor.

Logarithms and exponentials are computed in float64, and rounded to float32 once.
"""

from __future__ import annotations

import math
import struct
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from initctl.stream.draws import Draws
    from initctl.stream.protocols import Law

    Floats = NDArray[np.float32]
    Doubles = NDArray[np.float64]

LARGEST_NORMAL = 6.77
"""No standard normal draw is larger: sqrt(-2 ln 2^-33) is 6.764."""
LARGEST_TRUNCATED_NORMAL = 13.01
"""The largest value of `normal_quantile`: for the smallest normal float32 probability it is 13.003."""

LARGEST_FLOAT32 = (2 - 2.0**-23) * 2.0**127
_SMALLEST_FLOAT32 = 2.0**-149

_SMALLEST_TAIL = 2.0**-110
"""The least probability of an interval, about 12 standard deviations from the mean. Below it, too many draws would be
subnormal float32 numbers, for which `natural_log` is wrong."""
_NARROWEST = 2.0**-14
"""The least part of its larger tail probability that an interval must span. In a narrower one, rounding of this
probability to float32 would accumulate draws at a bound."""


@dataclass(frozen=True, slots=True)
class Uniform:
    """`a + (b - a) · uniform01`. `b - a` is rounded to float32 first, so the rounded sum may exceed `b`."""

    a: float
    b: float

    @property
    def largest(self) -> float:
        return max(abs(self.a), abs(self.b), self.b - self.a)

    def values(self, draws: Draws, start: int, stop: int) -> Floats:
        return self.a + (self.b - self.a) * draws.uniform01(start, stop)


@dataclass(frozen=True, slots=True)
class Normal:
    """`mean + std · normal01`, the product rounded before the sum."""

    mean: float
    std: float

    @property
    def largest(self) -> float:
        return abs(self.mean) + LARGEST_NORMAL * self.std

    def values(self, draws: Draws, start: int, stop: int) -> Floats:
        return self.mean + self.std * draws.normal01(start, stop)


@dataclass(frozen=True, slots=True)
class TruncNormal:
    """A normal variable with `mean` and `std` > 0, given that it is in [a, b]; `a` < `b` are absolute values."""

    mean: float
    std: float
    a: float
    b: float

    @property
    def largest(self) -> float:
        """Limited by the bounds, and by the smallest float32 probability."""
        reach = LARGEST_TRUNCATED_NORMAL * self.std
        return max(abs(max(self.a, self.mean - reach)), abs(min(self.b, self.mean + reach)))

    @property
    def is_above(self) -> bool:
        """Whether the whole interval is above the mean."""
        return self.a > self.mean

    @property
    def tails(self) -> tuple[float, float]:
        """The probabilities that bound the draw, as float32 numbers: see `Draws.normal01_between`."""
        low, high = (self.a - self.mean) / self.std, (self.b - self.mean) / self.std
        if self.is_above:
            low, high = -high, -low
        return nearest_float32(_normal_cdf(low)), nearest_float32(_normal_cdf(high))

    @property
    def outside(self) -> float:
        """The probability that the bounds exclude."""
        return 1 - _normal_cdf((self.b - self.mean) / self.std) + _normal_cdf((self.a - self.mean) / self.std)

    @property
    def is_resolved(self) -> bool:
        """Whether float32 is precise enough: the interval is within 12 standard deviations, and not too narrow."""
        low, high = self.tails
        a, b = self.inner_bounds
        is_followed = high >= _SMALLEST_TAIL and high - low >= high * _NARROWEST
        return is_followed and a <= b and abs(self.mean) <= LARGEST_FLOAT32

    @property
    def inner_bounds(self) -> tuple[float, float]:
        """`a` and `b` rounded to float32, into the interval."""
        return inner_bounds(self.a, self.b)

    def values(self, draws: Draws, start: int, stop: int) -> Floats:
        low, high = self.tails
        z = draws.normal01_between(start, stop, low=low, high=high, above=self.is_above)
        return draws.clipped(self.mean + self.std * z, *self.inner_bounds)


@dataclass(frozen=True, slots=True)
class ZeroedNormal:
    """`std · normal01`, or zero if an element's number in a second stream is not larger than its column's cutoff.

    `cutoffs` is the result of `Draws.kth_smallest`. An element has `parts` values: 2 if it is complex.
    """

    std: float
    cutoffs: NDArray[np.uint64]
    parts: int = 1

    stream: ClassVar[int] = 1

    @property
    def largest(self) -> float:
        return LARGEST_NORMAL * self.std

    def values(self, draws: Draws, start: int, stop: int) -> Floats:
        values = self.std * draws.normal01(start, stop)
        first, last = start // self.parts, -(-stop // self.parts)
        zeroed = draws.not_larger(first, last, self.cutoffs, stream=self.stream).repeat(self.parts)
        values[zeroed[start - first * self.parts :][: stop - start]] = 0
        return values


@dataclass(frozen=True, slots=True)
class LogUniform:
    """e^u for u uniform between ln `a` and ln `b`, never outside [a, b]."""

    a: float
    b: float

    @property
    def largest(self) -> float:
        return self.b

    @property
    def logarithms(self) -> tuple[float, float]:
        import numpy as np

        from initctl.stream.elementary64 import natural_log

        low, high = natural_log(np.array([self.a, self.b])).tolist()
        return low, high

    def unrounded(self, draws: Draws, start: int, stop: int) -> Doubles:
        from initctl.stream.elementary64 import exponential

        low, high = self.logarithms
        return exponential(low + (high - low) * draws.fraction01(start, stop)).clip(self.a, self.b)

    def values(self, draws: Draws, start: int, stop: int) -> Floats:
        return draws.clipped(self.unrounded(draws, start, stop).astype("f4"), *inner_bounds(self.a, self.b))


@dataclass(frozen=True, slots=True)
class InverseSoftplus(LogUniform):
    """ln(e^x - 1), the inverse of softplus, for a log-uniform x, or for `floor` if x is smaller."""

    floor: float

    @property
    def largest(self) -> float:
        """The larger magnitude of both ends, plus half a unit in the last place for rounding."""
        import numpy as np

        return float(np.abs(self._of(np.array([self.a, self.b]))).max() * (1 + 2.0**-24))

    def values(self, draws: Draws, start: int, stop: int) -> Floats:
        return self._of(self.unrounded(draws, start, stop)).astype("f4")

    def _of(self, x: Doubles) -> Doubles:
        from initctl.stream.elementary64 import natural_log, one_minus_exponential

        steps = x.clip(self.floor)
        return steps + natural_log(one_minus_exponential(steps))


@dataclass(frozen=True, slots=True)
class UniformLog:
    """ln u for u uniform between `a` and `b`, both above 0."""

    a: float
    b: float

    @property
    def largest(self) -> float:
        """The larger magnitude of both ends, plus half a unit in the last place for rounding."""
        import numpy as np

        from initctl.stream.elementary64 import natural_log

        return float(np.abs(natural_log(np.array([self.a, self.b]))).max() * (1 + 2.0**-24))

    def values(self, draws: Draws, start: int, stop: int) -> Floats:
        from initctl.stream.elementary64 import natural_log

        return natural_log(self.a + (self.b - self.a) * draws.fraction01(start, stop)).astype("f4")


@dataclass(frozen=True, slots=True)
class Fused:
    """A law for each part of one dimension: element i is at position `i // inner % ends[-1]` along it.

    `ends` are the ends of the parts along the dimension, in ascending order, and `inner` is the number of elements from
    one position to the next. Indices of elements are those in the whole tensor, so their random numbers are the same as
    with any other law.
    """

    laws: tuple[Law, ...]
    ends: tuple[int, ...]
    inner: int

    @property
    def largest(self) -> float:
        return max(law.largest for law in self.laws)

    @property
    def shortest(self) -> int:
        """The number of consecutive elements in the smallest part."""
        return self.inner * min(end - start for start, end in pairwise((0, *self.ends)))

    def runs(self, start: int, stop: int) -> Iterator[tuple[Law, int, int]]:
        """The elements from `start` to `stop` as runs of one law: the law, the start and the stop of each."""
        period = self.inner * self.ends[-1]
        while start < stop:
            within = start % period
            part = bisect_right(self.ends, within // self.inner)
            end = min(start - within + self.inner * self.ends[part], stop)
            yield self.laws[part], start, end
            start = end

    def values(self, draws: Draws, start: int, stop: int) -> Floats:
        """Each law is called once, since runs may be as short as one element."""
        import numpy as np

        part = self._parts(start, stop)
        values = np.empty(stop - start, np.float32)
        for number, law in enumerate(self.laws):
            if (chosen := part == number).any():
                np.copyto(values, law.values(draws, start, stop), where=chosen)
        return values

    def _parts(self, start: int, stop: int) -> NDArray[np.uint16]:
        """The number of the part of each element from `start` to `stop`."""
        import numpy as np

        period, sizes = self.inner * self.ends[-1], np.diff(self.ends, prepend=0) * self.inner
        first, count = start % period, stop - start
        if period > count:
            place = (first + np.arange(count)) // self.inner % self.ends[-1]
            return np.searchsorted(self.ends, place, side="right").astype(np.uint16)
        pattern = np.repeat(np.arange(len(self.laws), dtype=np.uint16), sizes)
        return np.tile(pattern, -(-(first + count) // period))[first : first + count]


def inner_bounds(a: float, b: float) -> tuple[float, float]:
    """The first and the last float32 number in the interval [a, b]; in descending order if there is none.

    Infinite if the interval is beyond all float32 numbers.
    """
    first, last = nearest_float32(a), nearest_float32(b)
    return (
        _next_float32(first, up=True) if first < a else first,
        _next_float32(last, up=False) if last > b else last,
    )


def nearest_float32(x: float) -> float:
    """`x` rounded to float32, limited to finite numbers."""
    within = min(max(x, -LARGEST_FLOAT32), LARGEST_FLOAT32)
    rounded: float = struct.unpack("<f", struct.pack("<f", within))[0]
    return rounded


def _next_float32(x: float, *, up: bool) -> float:
    if x == 0:
        return _SMALLEST_FLOAT32 if up else -_SMALLEST_FLOAT32
    (bits,) = struct.unpack("<i", struct.pack("<f", x))
    following: float = struct.unpack("<f", struct.pack("<i", bits + (1 if (x > 0) == up else -1)))[0]
    return following


def _normal_cdf(z: float) -> float:
    return math.erfc(-z / math.sqrt(2)) / 2
