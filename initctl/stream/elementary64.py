"""Exponential, natural logarithm, sine and cosine in float64, from correctly rounded operations only.

As in `elementary`, every processor gives the same bits. The error is below 5e-16, which rounding to float32 hides. Each
function is a Taylor series near 0; other arguments are reduced to that range by exact or nearly exact steps.
"""

from __future__ import annotations

from math import factorial
from typing import TYPE_CHECKING, Any

import numpy as np

from initctl.stream.elementary import polynomial

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    """Or single numbers in compiled loops, as in `elementary`."""

f64: Any = np.float64
i64: Any = np.int64
INT64, FLOAT64 = np.int64, np.float64
where = np.where

LARGEST_EXPONENT = 700.0
"""The largest magnitude of an argument of `exponential`: e^±700 are normal numbers."""
LARGEST_ANGLE = 2.0**26
"""The largest argument of `sin_cos`: a number of quarter turns with 26 bits, times a part of π/2 with 27, is exact."""

LN2_HIGH, LN2_LOW = float.fromhex("0x1.62e42feep-1"), float.fromhex("0x1.a39ef35793c76p-33")
"""ln 2 in two parts. The first is so short that its product with an exponent is exact."""
QUARTER_TURN = tuple(map(float.fromhex, ("0x1.921fb54p+0", "0x1.10b46p-30", "0x1.1a62633145c07p-54")))
"""π/2 in three parts, the first two of at most 27 bits."""

EXP_SERIES = tuple(1 / factorial(n) for n in range(15, 0, -1))
"""(e^x - 1) / x, highest power first. The truncation error is below 1e-17 for |x| ≤ 1/2."""
LN_SERIES = tuple(1 / n for n in range(23, 1, -2))
"""(artanh s - s) / s³ in powers of s². The truncation error is below 1e-17 if 1 + s is at most sqrt 2 times 1 - s."""
SIN_SERIES = tuple((-1) ** n / factorial(2 * n + 1) for n in range(8, 0, -1))
COS_SERIES = tuple((-1) ** n / factorial(2 * n) for n in range(9, 1, -1))
"""(sin x - x) / x³ and (cos x - 1 + x²/2) / x⁴ in powers of x². The truncation error is below 1e-18 for |x| ≤ π/4."""

SQRT_HALF = float(np.sqrt(0.5))
"""With mantissas from here on, the logarithm's argument is closest to 1."""
NEAR_0 = 0.5
"""Up to here e^x - 1 is computed by its series; beyond, the difference itself is accurate enough."""
_TO_WHOLE = 1.5 * 2.0**52
"""Adding this rounds a number to a whole one, which is then in the lowest bits. Subtracting it again leaves that."""
_MANTISSA_BITS, _ONE_BITS = np.int64(52), np.int64(1023 << 52)
_ONE, _TWO = np.int64(1), np.int64(2)
_LN2, _NEAR_QUARTER = LN2_HIGH + LN2_LOW, QUARTER_TURN[0] + QUARTER_TURN[1]


def natural_log(x: Floats) -> Floats:
    """ln x for positive x, within 5e-16 of its size."""
    f, exponent = log_parts(x)
    s = f / (2.0 + f)
    square = s * s
    rest: Floats = 2.0 * (s + s * square * polynomial(LN_SERIES, square))
    return exponent * LN2_HIGH + (exponent * LN2_LOW + rest)


def log_parts(x: Floats) -> tuple[Floats, Floats]:
    """f and a whole number e such that `x` = (1 + f) · 2^e, with 1 + f between sqrt(1/2) and sqrt 2."""
    mantissa, power = np.frexp(x)
    is_small = mantissa < SQRT_HALF
    return np.where(is_small, 2 * mantissa, mantissa) - 1, (power - is_small).astype(np.float64)


def exponential(x: Floats) -> Floats:
    """e^x for |x| ≤ `LARGEST_EXPONENT`, within 5e-16 of its size."""
    shifted = x / _LN2 + _TO_WHOLE
    power = shifted - _TO_WHOLE
    rest = (x - power * LN2_HIGH) - power * LN2_LOW
    scale: Floats = i64((f64(shifted).view(INT64) << _MANTISSA_BITS) + _ONE_BITS).view(FLOAT64)
    near: Floats = 1.0 + rest * polynomial(EXP_SERIES, rest)
    return near * scale


def one_minus_exponential(x: Floats) -> Floats:
    """1 - e^-x for positive x, within 5e-16 of its size."""
    far = 1.0 - exponential(-where(x < LARGEST_EXPONENT, x, LARGEST_EXPONENT))
    return where(x < NEAR_0, near_one_minus_exponential(where(x < NEAR_0, x, NEAR_0)), far)


def near_one_minus_exponential(x: Floats) -> Floats:
    """The same for positive x up to `NEAR_0`."""
    series: Floats = polynomial(EXP_SERIES, -x)
    return x * series


def sin_cos(x: Floats) -> tuple[Floats, Floats]:
    """Sine and cosine of `x` radians, 0 ≤ x ≤ `LARGEST_ANGLE`, within 5e-16."""
    shifted = x / _NEAR_QUARTER + _TO_WHOLE
    quarters = shifted - _TO_WHOLE
    rest = ((x - quarters * QUARTER_TURN[0]) - quarters * QUARTER_TURN[1]) - quarters * QUARTER_TURN[2]
    square = rest * rest
    sine = rest + rest * square * polynomial(SIN_SERIES, square)
    cosine = 1.0 - (square / 2.0 - square * square * polynomial(COS_SERIES, square))
    quarter = f64(shifted).view(INT64)
    is_odd = (quarter & _ONE) == _ONE
    sine, cosine = where(is_odd, cosine, sine), where(is_odd, sine, cosine)
    sine = where((quarter & _TWO) == _TWO, -sine, sine)
    cosine = where(((quarter + _ONE) & _TWO) == _TWO, -cosine, cosine)
    return sine, cosine
