"""Natural logarithm, sine, cosine and the normal quantile in float32, from correctly rounded operations only.

A libm gives other last digits on other machines; these polynomials do not. NumPy's float32 add, subtract, multiply,
divide, `sqrt` and conversions each round once, and its ufuncs never fuse a multiply with an add.

Coefficients: logarithm, sine and cosine from Cephes (S. L. Moshier: logf, sinf, cosf); the quantile from algorithm
AS 241, PPND7 (M. J. Wichura, Applied Statistics 37, 1988).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float32]

_HALF, _ONE = np.float32(0.5), np.float32(1)
SQRT_HALF_BITS = np.int32(0x3F3504F3)
"""The bits of sqrt(1/2): where a mantissa begins that keeps the logarithm's argument closest to 1."""
MANTISSA_BITS = 23

LN2_HIGH, LN2_LOW = np.float32(0.693359375), np.float32(-2.12194440e-4)
"""ln 2 in two parts, the first short enough for its product with an exponent to be exact."""
LN_SERIES = (
    7.0376836292e-2, -1.1514610310e-1, 1.1676998740e-1, -1.2420140846e-1, 1.4249322787e-1,
    -1.6668057665e-1, 2.0000714765e-1, -2.4999993993e-1, 3.3333331174e-1,
)  # fmt: skip

EIGHTH_TURN, QUARTER_TURN = np.uint32(1 << 29), np.uint32(30)
"""In units of 2^-32 turns; the quarter turn as a shift."""
RADIANS = np.float32(2 * math.pi * 2.0**-32)
SIN_SERIES = (-1.9515295891e-4, 8.3321608736e-3, -1.6666654611e-1)
COS_SERIES = (2.443315711809948e-5, -1.388731625493765e-3, 4.166664568298827e-2)

CENTRAL, CENTRAL_SQUARED = np.float32(0.425), np.float32(0.180625)
TAIL_ORIGIN, FAR_TAIL = np.float32(1.6), np.float32(5)
QUANTILE_CENTRAL = (
    (5.9109374720e1, 1.5929113202e2, 5.0434271938e1, 3.3871327179),
    (6.7187563600e1, 7.8757757664e1, 1.7895169469e1, 1.0),
)
QUANTILE_TAIL = (
    (1.7023821103e-1, 1.3067284816, 2.7568153900, 1.4234372777),
    (1.2021132975e-1, 7.3700164250e-1, 1.0),
)
QUANTILE_FAR_TAIL = (
    (1.7337203997e-2, 4.2868294337e-1, 3.0812263860, 6.6579051150),
    (1.2258202635e-2, 2.4197894225e-1, 1.0),
)


def natural_log(x: Floats) -> Floats:
    """ln x for normal positive float32 `x`, within about one unit in the last place."""
    bits = x.view(np.int32)
    exponent = (bits - SQRT_HALF_BITS) >> np.int32(MANTISSA_BITS)
    f: Floats = (bits - (exponent << np.int32(MANTISSA_BITS))).view(np.float32) - _ONE
    power = exponent.astype(np.float32)
    square = f * f
    rest = _polynomial(LN_SERIES, f) * f * square
    rest = rest + power * LN2_LOW
    rest = rest - square * _HALF
    result: Floats = (f + rest) + power * LN2_HIGH
    return result


def sin_cos(turns: NDArray[np.uint32]) -> tuple[Floats, Floats]:
    """Sine and cosine of `turns` · 2^-32 turns, within 1e-7.

    The nearest quarter turn is taken off in integers, so that what reaches the polynomials lies within π/4.
    """
    quarter = (turns + EIGHTH_TURN) >> QUARTER_TURN
    x: Floats = (turns - (quarter << QUARTER_TURN)).view(np.int32).astype(np.float32) * RADIANS
    square = x * x
    sine = _polynomial(SIN_SERIES, square) * square * x + x
    cosine = _polynomial(COS_SERIES, square) * square * square - square * _HALF + _ONE
    is_odd = (quarter & np.uint32(1)).astype(bool)
    sine, cosine = np.where(is_odd, cosine, sine), np.where(is_odd, sine, cosine)
    sine = np.where(quarter >= 2, -sine, sine)
    cosine = np.where((quarter == 1) | (quarter == 2), -cosine, cosine)
    return sine, cosine


def normal_quantile(centred: Floats, tail: Floats) -> Floats:
    """The z below which a standard normal variable lies with probability p, within 2e-6 for |z| ≤ 4.

    `centred` is p - 1/2 and `tail` is min(p, 1 - p), each rounded to float32 on its own: near an end of (0, 1),
    p itself would have lost the digits that decide z.
    """
    r = CENTRAL_SQUARED - centred * centred
    central = centred * _ratio(QUANTILE_CENTRAL, r)
    depth = np.sqrt(-natural_log(tail))
    near = _ratio(QUANTILE_TAIL, depth - TAIL_ORIGIN)
    far = _ratio(QUANTILE_FAR_TAIL, depth - FAR_TAIL)
    outer = np.where(depth <= FAR_TAIL, near, far)
    outer = np.where(centred < 0, -outer, outer)
    return np.where(np.abs(centred) <= CENTRAL, central, outer)


def _polynomial(coefficients: Sequence[float], x: Floats) -> Floats:
    """Horner's rule, highest power first."""
    result = np.full_like(x, coefficients[0])
    for coefficient in coefficients[1:]:
        result = result * x + np.float32(coefficient)
    return result


def _ratio(coefficients: tuple[Sequence[float], Sequence[float]], x: Floats) -> Floats:
    numerator, denominator = coefficients
    return _polynomial(numerator, x) / _polynomial(denominator, x)
