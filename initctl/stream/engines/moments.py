"""Moments and extremes of finite numbers, and counts of unusual ones."""

from __future__ import annotations

from math import inf, isfinite, nan, sqrt
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from initctl.dtypes import DType


class Moments(NamedTuple):
    """The moments, extremes and counts of a set of numbers; `numbers` is how many there are.

    `mean`, `deviation` (the sum of squared distances from it), `least` and `greatest` are those of the finite ones.
    `subnormal` counts numbers that are not 0, but smaller than the normal numbers of their dtype.
    """

    numbers: int = 0
    mean: float = nan
    deviation: float = 0.0
    least: float = inf
    greatest: float = -inf
    nan: int = 0
    infinite: int = 0
    zeros: int = 0
    subnormal: int = 0

    @property
    def finite(self) -> int:
        """How many numbers are neither NaN nor infinite."""
        return self.numbers - self.nan - self.infinite

    @property
    def std(self) -> float:
        """The standard deviation, as in NumPy: squares are divided by the count, not by one fewer."""
        return sqrt(self.deviation / self.finite) if self.finite else nan

    @property
    def largest(self) -> float:
        """The largest magnitude."""
        return max(abs(self.least), abs(self.greatest)) if self.finite else nan

    @property
    def l2(self) -> float:
        """The square root of the sum of squares."""
        return sqrt(self.deviation + self.finite * self.mean * self.mean) if self.finite else 0.0

    def __add__(self, other: Moments) -> Moments:  # type: ignore[override]
        """The moments of both sets together (Chan, Golub and LeVeque 1979)."""
        total = self.finite + other.finite
        if not self.finite or not other.finite:
            mean, deviation = (other if other.finite else self)[1:3]
        else:
            share, distance = other.finite / total, other.mean - self.mean
            mean = self.mean + distance * share
            if not isfinite(distance):  # the distance between two doubles may be larger than any double
                mean = self.mean * (1 - share) + other.mean * share
            deviation = self.deviation + other.deviation + distance * distance * self.finite * share
        return Moments(
            self.numbers + other.numbers,
            mean,
            deviation,
            min(self.least, other.least),
            max(self.greatest, other.greatest),
            self.nan + other.nan,
            self.infinite + other.infinite,
            self.zeros + other.zeros,
            self.subnormal + other.subnormal,
        )


def moments_of(numbers: NDArray[Any], dtype: DType) -> Moments:
    """The moments of `numbers`, parts of elements of `dtype`, in float64."""
    with np.errstate(invalid="ignore"):  # a signaling NaN
        values = numbers.astype(np.float64)
    finite = values[np.isfinite(values)]
    undefined = int(np.isnan(values).sum())
    zeros = int((values == 0).sum())
    if not finite.size:
        return Moments(values.size, nan=undefined, infinite=values.size - undefined)
    small = int((np.abs(finite) < _smallest_normal(dtype)).sum()) - zeros if dtype.is_floating else 0
    with np.errstate(over="ignore", invalid="ignore"):
        mean = float(finite[0] + (finite - finite[0]).mean())
        if not isfinite(mean):  # the distance between two doubles may be larger than any double
            mean = float((finite / finite.size).sum())
        deviation = float(np.square(finite - mean).sum())
    return Moments(
        values.size,
        mean,
        deviation,
        numbers.min().item() if dtype.kind == "integer" else float(finite.min()),
        numbers.max().item() if dtype.kind == "integer" else float(finite.max()),
        undefined,
        values.size - finite.size - undefined,
        zeros,
        small,
    )


def _smallest_normal(dtype: DType) -> float:
    import ml_dtypes

    return float(ml_dtypes.finfo(dtype.numpy).smallest_normal)  # type: ignore[no-untyped-call]
