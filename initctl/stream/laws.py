"""The laws. Each is plain data; an initializer resolves to one for each tensor."""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from initctl.stream.protocols import Deterministic

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from initctl.stream.draws import Draws

LARGEST_NORMAL = 6.77
"""No standard normal draw is larger: sqrt(-2 ln 2^-33) is 6.764."""
LARGEST_TRUNCATED_NORMAL = 13.01
"""The farthest that `normal_quantile` reaches: of the smallest normal float32 probability it is 13.003."""

LARGEST_FLOAT32 = (2 - 2.0**-23) * 2.0**127
_SMALLEST_FLOAT32 = 2.0**-149

_SMALLEST_TAIL = 2.0**-110
"""The least probability that an interval may have, some 12 standard deviations out: below it too many draws would be
subnormal float32 numbers, of which `natural_log` is wrong."""
_NARROWEST = 2.0**-14
"""The least share of its larger tail probability that an interval must span: on a narrower one the rounding of that
probability to float32 would pile up draws at a bound."""


@dataclass(frozen=True, slots=True)
class Constant(Deterministic):
    """`value` everywhere: a whole number exactly, any other rounded once to the tensor's type."""

    value: float

    @property
    def largest(self) -> float:
        return abs(self.value)

    @property
    def exact(self) -> tuple[float, ...]:
        return (self.value,)

    def at(self, start: int, stop: int) -> NDArray[Any]:
        import numpy as np

        return np.full(stop - start, self.value)


@dataclass(frozen=True, slots=True)
class Table:
    """Values that were computed before, in an array of the tensor's shape, however it lies in memory; or in one of some
    rows of it, from the element `origin` on.
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
class Uniform:
    """`a + (b - a) · uniform01`, with `b - a` rounded to float32 first: may exceed `b` by the rounding of the sum."""

    a: float
    b: float

    @property
    def largest(self) -> float:
        return max(abs(self.a), abs(self.b), self.b - self.a)

    def values(self, draws: Draws, start: int, stop: int) -> NDArray[np.float32]:
        import numpy as np

        return np.float32(self.a) + np.float32(self.b - self.a) * draws.uniform01(start, stop)


@dataclass(frozen=True, slots=True)
class Normal:
    """`mean + std · normal01`, the product rounded before the sum."""

    mean: float
    std: float

    @property
    def largest(self) -> float:
        return abs(self.mean) + LARGEST_NORMAL * self.std

    def values(self, draws: Draws, start: int, stop: int) -> NDArray[np.float32]:
        import numpy as np

        return np.float32(self.mean) + np.float32(self.std) * draws.normal01(start, stop)


@dataclass(frozen=True, slots=True)
class TruncNormal:
    """A normal variable of `mean` and `std` > 0, on the condition that it lies in [a, b]; `a` < `b` are absolute."""

    mean: float
    std: float
    a: float
    b: float

    @property
    def largest(self) -> float:
        """Bounds apply, but so does the reach of float32 probabilities."""
        reach = LARGEST_TRUNCATED_NORMAL * self.std
        return max(abs(max(self.a, self.mean - reach)), abs(min(self.b, self.mean + reach)))

    @property
    def is_above(self) -> bool:
        """Whether the whole interval lies above the mean."""
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
        """Whether float32 can follow the law: not beyond 12 standard deviations, nor on a mere sliver."""
        low, high = self.tails
        a, b = self.inner_bounds
        is_followed = high >= _SMALLEST_TAIL and high - low >= high * _NARROWEST
        return is_followed and a <= b and abs(self.mean) <= LARGEST_FLOAT32

    @property
    def inner_bounds(self) -> tuple[float, float]:
        """`a` and `b` rounded to float32 towards the inside of the interval."""
        return inner_bounds(self.a, self.b)

    def values(self, draws: Draws, start: int, stop: int) -> NDArray[np.float32]:
        import numpy as np

        low, high = self.tails
        z = draws.normal01_between(start, stop, low=low, high=high, above=self.is_above)
        values = np.float32(self.mean) + np.float32(self.std) * z
        a, b = map(np.float32, self.inner_bounds)
        values = np.where(values < a, a, values)
        return np.where(values > b, b, values)


@dataclass(frozen=True, slots=True)
class ZeroedNormal:
    """`std · normal01`, with zero where an element's number in a second stream does not exceed that of its column.

    `cutoffs` are what `Draws.kth_smallest` gives for each column. An element has `parts` values: 2 where it is complex.
    """

    std: float
    cutoffs: NDArray[np.uint64]
    parts: int = 1

    stream: ClassVar[int] = 1

    @property
    def largest(self) -> float:
        return LARGEST_NORMAL * self.std

    def values(self, draws: Draws, start: int, stop: int) -> NDArray[np.float32]:
        import numpy as np

        values = np.float32(self.std) * draws.normal01(start, stop)
        first, last = start // self.parts, -(-stop // self.parts)
        zeroed = draws.not_larger(first, last, self.cutoffs, stream=self.stream).repeat(self.parts)
        values[zeroed[start - first * self.parts :][: stop - start]] = 0
        return values


def inner_bounds(a: float, b: float) -> tuple[float, float]:
    """The first and the last float32 number of the interval [a, b]; in the wrong order if there is none.

    Infinite, if the interval is beyond all float32 numbers.
    """
    first, last = nearest_float32(a), nearest_float32(b)
    return (
        _next_float32(first, up=True) if first < a else first,
        _next_float32(last, up=False) if last > b else last,
    )


def nearest_float32(x: float) -> float:
    """`x` rounded to float32; at most the largest finite one."""
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
