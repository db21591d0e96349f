"""Exponential, natural logarithm, sine and cosine in float64, from correctly rounded operations only.

As in `elementary`, so that every processor gives the same bits; within 5e-16, which rounding to float32 hides. Each
is a Taylor series next to 0, and what lies farther out is brought there by steps that are exact or as good as that.
"""

from __future__ import annotations

from math import factorial
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

LARGEST_EXPONENT = 700.0
"""How far from 0 `exponential` goes: e^±700 are normal numbers."""
LARGEST_ANGLE = 2.0**26
"""How far `sin_cos` goes: a number of quarter turns of so many bits times one of 27 bits is exact."""

LN2_HIGH, LN2_LOW = float.fromhex("0x1.62e42feep-1"), float.fromhex("0x1.a39ef35793c76p-33")
"""ln 2 in two parts, the first short enough for its product with an exponent to be exact."""
QUARTER_TURN = tuple(map(float.fromhex, ("0x1.921fb54p+0", "0x1.10b46p-30", "0x1.1a62633145c07p-54")))
"""π/2 in three parts, the first two of at most 27 bits."""

EXP_SERIES = tuple(1 / factorial(n) for n in range(15, 0, -1))
"""(e^x - 1) / x, highest power first: what is left out is below 1e-17 for |x| ≤ 1/2."""
LN_SERIES = tuple(1 / n for n in range(23, 1, -2))
"""(artanh s - s) / s³ in powers of s²: what is left out is below 1e-17 where 1 + s is at most sqrt 2 times 1 - s."""
SIN_SERIES = tuple((-1) ** n / factorial(2 * n + 1) for n in range(8, 0, -1))
COS_SERIES = tuple((-1) ** n / factorial(2 * n) for n in range(9, 1, -1))
"""(sin x - x) / x³ and (cos x - 1 + x²/2) / x⁴ in powers of x²: what is left out is below 1e-18 for |x| ≤ π/4."""

SQRT_HALF = float(np.sqrt(0.5))
"""Where a mantissa begins that keeps the logarithm's argument closest to 1."""
NEAR_0 = 0.5
"""Up to here e^x - 1 is taken from its series: beyond, the difference itself is as good."""


def natural_log(x: Floats) -> Floats:
    """ln x for positive x, within 5e-16 of its size."""
    mantissa, power = np.frexp(x)
    is_small = mantissa < SQRT_HALF
    f = np.where(is_small, 2 * mantissa, mantissa) - 1
    exponent = (power - is_small).astype(np.float64)
    s = f / (2 + f)
    square = s * s
    rest = 2 * (s + s * square * _polynomial(LN_SERIES, square))
    result: Floats = exponent * LN2_HIGH + (exponent * LN2_LOW + rest)
    return result


def exponential(x: Floats) -> Floats:
    """e^x for |x| ≤ `LARGEST_EXPONENT`, within 5e-16 of its size."""
    power = np.rint(x / (LN2_HIGH + LN2_LOW))
    rest = (x - power * LN2_HIGH) - power * LN2_LOW
    return np.ldexp(1 + rest * _polynomial(EXP_SERIES, rest), power.astype(np.int32))


def one_minus_exponential(x: Floats) -> Floats:
    """1 - e^-x for positive x, within 5e-16 of its size."""
    near = np.minimum(x, NEAR_0)
    series = near * _polynomial(EXP_SERIES, -near)
    return np.where(x < NEAR_0, series, 1 - exponential(-np.minimum(x, LARGEST_EXPONENT)))


def sin_cos(x: Floats) -> tuple[Floats, Floats]:
    """Sine and cosine of `x` radians, 0 ≤ x ≤ `LARGEST_ANGLE`, within 5e-16."""
    high, middle, low = QUARTER_TURN
    quarters = np.rint(x / (high + middle))
    rest = ((x - quarters * high) - quarters * middle) - quarters * low
    square = rest * rest
    sine = rest + rest * square * _polynomial(SIN_SERIES, square)
    cosine = 1 - (square / 2 - square * square * _polynomial(COS_SERIES, square))
    quarter = quarters.astype(np.int64) % 4
    sine, cosine = np.where(quarter % 2, cosine, sine), np.where(quarter % 2, sine, cosine)
    sine = np.where(quarter >= 2, -sine, sine)
    cosine = np.where((quarter == 1) | (quarter == 2), -cosine, cosine)
    return sine, cosine


def _polynomial(coefficients: Sequence[float], x: Floats) -> Floats:
    """Horner's rule, highest power first."""
    result = np.full_like(x, coefficients[0])
    for coefficient in coefficients[1:]:
        result = result * x + coefficient
    return result
