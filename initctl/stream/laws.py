"""The laws. Each is plain data; an initializer resolves to one for each tensor."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    from initctl.stream.draws import Draws

LARGEST_NORMAL = 6.77
"""No standard normal draw is larger: sqrt(-2 ln 2^-33) is 6.764."""
LARGEST_TRUNCATED_NORMAL = 13.01
"""The farthest that `normal_quantile` reaches: of the smallest normal float32 probability it is 13.003."""

_LARGEST_FLOAT32 = (2 - 2.0**-23) * 2.0**127

_SMALLEST_TAIL = 2.0**-110
"""The least probability that an interval may have, some 12 standard deviations out: below it too many draws would be
subnormal float32 numbers, of which `natural_log` is wrong."""
_NARROWEST = 2.0**-14
"""The least share of its larger tail probability that an interval must span: on a narrower one the rounding of that
probability to float32 would pile up draws at a bound."""


class Law(Protocol):
    """What fills a tensor: a function from element indices to values, and what planning must know about it."""

    @property
    def largest(self) -> float:
        """A bound on the magnitude of every value."""

    def values(self, draws: Draws, start: int, stop: int) -> NDArray[Any]:
        """The values at indices `start` ≤ i < `stop`: one array of float32 (a constant: of a type that holds it).

        The value at an index is the same whatever range it is asked for in.
        """


class WholeLaw(ABC):
    """What fills a tensor in which a value depends on more than its own index: it is prepared first."""

    __slots__ = ()

    @property
    @abstractmethod
    def largest(self) -> float:
        """A bound on the magnitude of every value."""

    @property
    @abstractmethod
    def workspace(self) -> int:
        """Bytes of memory that preparing takes, with what it returns."""

    @property
    def flops(self) -> float:
        """Floating-point operations of the QR decompositions that preparing takes."""
        return 0

    @abstractmethod
    def prepared(self, draws: Draws) -> Law:
        """What fills the tensor, once all that its values share is known."""


class Deterministic(ABC):
    """What fills a tensor with values that follow from their indices alone: nothing is drawn."""

    __slots__ = ()

    @property
    @abstractmethod
    def largest(self) -> float:
        """A bound on the magnitude of every value."""

    @property
    def exact(self) -> tuple[float, ...]:
        """All values that there are, where a tensor must hold them exactly: then it may be one of integers."""
        return ()

    @abstractmethod
    def at(self, start: int, stop: int) -> NDArray[Any]:
        """The values at indices `start` ≤ i < `stop`, as for `Law.values`."""

    def values(self, draws: Draws, start: int, stop: int) -> NDArray[Any]:  # noqa: ARG002 - the protocol's signature
        return self.at(start, stop)


class Old(Protocol):
    """What a tensor holds before it is filled."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    def values(self, start: int, stop: int) -> NDArray[Any]:
        """The numbers at indices `start` ≤ i < `stop`: float32, or float64 of a tensor of doubles."""

    def stored(self, start: int, stop: int) -> NDArray[Any]:
        """The same numbers in the tensor's own type: what is given back like that stays as it is, to the bit."""

    def other(self, source: Source) -> Old:
        """What one of the tensors holds that a revision has among its `sources`."""


class Source(NamedTuple):
    """Another tensor: its name in this checkpoint, or in that at the path `checkpoint`."""

    name: str
    checkpoint: str | None = None


class RevisingLaw(ABC):
    """What fills a tensor from what it holds, or from what others hold: it is prepared first."""

    __slots__ = ()

    sources: tuple[Source, ...] = ()
    whole: ClassVar[bool] = False
    """Whether it makes no sense on some rows of a tensor."""

    @property
    def largest(self) -> float:
        """A bound on the magnitude of values that come from no old one, where that is known."""
        return 0.0

    @abstractmethod
    def prepared(self, draws: Draws, old: Old) -> Law:
        """What fills the tensor, which reads `old` as it goes, once all that its values share is known."""


AnyLaw = Law | WholeLaw | RevisingLaw


@dataclass(frozen=True, slots=True)
class Revised:
    """`function(draws, start, stop)` at each range of indices, in float32, float64 or the tensor's own type.

    Its numbers may be infinite or NaN where old ones are: it raises `Overflow` where they are not.
    """

    function: Callable[[Draws, int, int], NDArray[Any]]
    largest: float = 0.0

    def values(self, draws: Draws, start: int, stop: int) -> NDArray[Any]:
        return self.function(draws, start, stop)


class Overflow(Exception):  # noqa: N818 - a fact that is told with tensor and rule
    """A finite old number has led to one that cannot be held; the message says how."""


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
        import numpy as np

        return float(np.abs(self.table).max())

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
        import numpy as np

        low, high = (self.a - self.mean) / self.std, (self.b - self.mean) / self.std
        if self.is_above:
            low, high = -high, -low
        return float(np.float32(_normal_cdf(low))), float(np.float32(_normal_cdf(high)))

    @property
    def outside(self) -> float:
        """The probability that the bounds exclude."""
        return 1 - _normal_cdf((self.b - self.mean) / self.std) + _normal_cdf((self.a - self.mean) / self.std)

    @property
    def is_resolved(self) -> bool:
        """Whether float32 can follow the law: not beyond 12 standard deviations, nor on a mere sliver."""
        low, high = self.tails
        a, b = map(float, self.inner_bounds)
        is_followed = high >= _SMALLEST_TAIL and high - low >= high * _NARROWEST
        return is_followed and a <= b and abs(self.mean) <= _LARGEST_FLOAT32

    @property
    def inner_bounds(self) -> tuple[np.float32, np.float32]:
        """`a` and `b` rounded to float32 towards the inside of the interval."""
        return inner_bounds(self.a, self.b)

    def values(self, draws: Draws, start: int, stop: int) -> NDArray[np.float32]:
        import numpy as np

        low, high = self.tails
        z = draws.normal01_between(start, stop, low=low, high=high, above=self.is_above)
        values = np.float32(self.mean) + np.float32(self.std) * z
        a, b = self.inner_bounds
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


def inner_bounds(a: float, b: float) -> tuple[np.float32, np.float32]:
    """The first and the last float32 number of the interval [a, b]; in the wrong order where it has none."""
    import numpy as np

    with np.errstate(over="ignore"):  # to infinity, where the interval lies beyond all float32 numbers
        return _inner_float32(a, -math.inf), _inner_float32(b, math.inf)


def _normal_cdf(z: float) -> float:
    return math.erfc(-z / math.sqrt(2)) / 2


def _inner_float32(bound: float, outwards: float) -> np.float32:
    """`bound` as the float32 nearest to it that is not outside.

    Compared as float64: NumPy would round the bound to float32 first, and find the two equal.
    """
    import numpy as np

    nearest = np.float32(min(max(bound, -_LARGEST_FLOAT32), _LARGEST_FLOAT32))
    is_outside = float(nearest) < bound if outwards < 0 else float(nearest) > bound
    return np.nextafter(nearest, np.float32(-outwards)) if is_outside else nearest
