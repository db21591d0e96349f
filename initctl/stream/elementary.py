"""Natural logarithm, sine, cosine and the normal quantile in float32, from correctly rounded operations only.

The last digits of a libm differ from machine to machine; those of these polynomials do not. NumPy's float32 add,
subtract, multiply, divide, `sqrt` and conversions each round once, and its ufuncs never fuse a multiply with an add.

Every engine uses these formulas: on NumPy's arrays, and `rebuilt` for torch's tensors and for single numbers in Numba.
Numba computes small integers in 64 bits, so each is cast back to 32 bits.

Coefficients: logarithm, sine and cosine from Cephes (S. L. Moshier: logf, sinf, cosf); the quantile from algorithm
AS 241, PPND7 (M. J. Wichura, Applied Statistics 37, 1988).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from types import FunctionType, ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    Floats = Any
    """float32 numbers."""
    Doubles = Any
    """float64 numbers."""
    Words = Any
    """Unsigned integers of 32 bits."""

f32, f64, i32, u32 = np.float32, np.float64, np.int32, np.uint32
INT32, FLOAT32 = np.int32, np.float32
where, sqrt, stack = np.where, np.sqrt, np.stack

_HALF, _UNIT, _MINUS_TWO = np.float32(0.5), np.float32(1), np.float32(-2)
_UNIT24, _UNIT32, _UNIT33 = np.float32(2.0**-24), np.float32(2.0**-32), np.float32(2.0**-33)
_ONE, _TWO, _EIGHT = np.uint32(1), np.uint32(2), np.uint32(8)


def _floats(*numbers: float) -> tuple[np.float32, ...]:
    return tuple(map(np.float32, numbers))


SQRT_HALF_BITS = np.int32(0x3F3504F3)
"""The bits of sqrt(1/2): with mantissas from here on, the logarithm's argument is closest to 1."""
MANTISSA_BITS = np.int32(23)

LN2_HIGH, LN2_LOW = np.float32(0.693359375), np.float32(-2.12194440e-4)
"""ln 2 in two parts. The first is so short that its product with an exponent is exact."""
LN_SERIES = _floats(
    7.0376836292e-2, -1.1514610310e-1, 1.1676998740e-1, -1.2420140846e-1, 1.4249322787e-1,
    -1.6668057665e-1, 2.0000714765e-1, -2.4999993993e-1, 3.3333331174e-1,
)  # fmt: skip

EIGHTH_TURN, QUARTER_TURN = np.uint32(1 << 29), np.uint32(30)
"""An eighth turn in units of 2^-32 turns; a quarter turn as a shift."""
RADIANS = np.float32(2 * math.pi * 2.0**-32)
SIN_SERIES = _floats(-1.9515295891e-4, 8.3321608736e-3, -1.6666654611e-1)
COS_SERIES = _floats(2.443315711809948e-5, -1.388731625493765e-3, 4.166664568298827e-2)

CENTRAL, CENTRAL_SQUARED = np.float32(0.425), np.float32(0.180625)
TAIL_ORIGIN, FAR_TAIL = np.float32(1.6), np.float32(5)
QUANTILE_CENTRAL = (
    _floats(5.9109374720e1, 1.5929113202e2, 5.0434271938e1, 3.3871327179),
    _floats(6.7187563600e1, 7.8757757664e1, 1.7895169469e1, 1.0),
)
QUANTILE_TAIL = (
    _floats(1.7023821103e-1, 1.3067284816, 2.7568153900, 1.4234372777),
    _floats(1.2021132975e-1, 7.3700164250e-1, 1.0),
)
QUANTILE_FAR_TAIL = (
    _floats(1.7337203997e-2, 4.2868294337e-1, 3.0812263860, 6.6579051150),
    _floats(1.2258202635e-2, 2.4197894225e-1, 1.0),
)


def uniform01(word: Words) -> Floats:
    """Uniform on [0, 1), in steps of 2^-24."""
    return f32(u32(word >> _EIGHT)) * _UNIT24


def fraction01(word: Words) -> Doubles:
    """Uniform on (0, 1), in float64: the middles of 2^32 equal steps."""
    return (f64(word) + 0.5) * 2.0**-32


def normal01(words: Words) -> Floats:
    """Standard normal, by Box and Muller's transform of neighboring words."""
    radii, (sine, cosine) = radius(words[0::2]), sin_cos(words[1::2])
    return stack((radii * cosine, radii * sine), axis=1).reshape(-1)


def radius(word: Words) -> Floats:
    """The radius of Box and Muller's transform."""
    return sqrt(natural_log(f32(word) * _UNIT32 + _UNIT33) * _MINUS_TWO)


def centred_and_tail(word: Words, low: float, high: float, is_above: bool) -> tuple[Floats, Floats]:  # noqa: FBT001
    """The arguments of `normal_quantile` for a probability between `low` and `high`, which falls if `is_above`."""
    fraction = fraction01(word)
    p = low + (high - low) * (1 - fraction if is_above else fraction)
    return f32(p - 0.5), f32(where(p < 0.5, p, 1 - p))


def clipped(x: Floats, low: float, high: float) -> Floats:
    """`x`, at least `low` and at most `high`."""
    x = where(x < low, low, x)
    return where(x > high, high, x)


def natural_log(x: Floats) -> Floats:
    """ln x for normal positive float32 `x`, within about one unit in the last place."""
    bits = f32(x).view(INT32)
    exponent = i32(i32(bits - SQRT_HALF_BITS) >> MANTISSA_BITS)
    f = i32(bits - i32(exponent << MANTISSA_BITS)).view(FLOAT32) - _UNIT
    power = f32(exponent)
    square = f * f
    rest = polynomial(LN_SERIES, f) * f * square
    rest = rest + power * LN2_LOW
    rest = rest - square * _HALF
    return (f + rest) + power * LN2_HIGH


def sin_cos(turns: Words) -> tuple[Floats, Floats]:
    """Sine and cosine of `turns` · 2^-32 turns, within 1e-7.

    The nearest quarter turn is subtracted in integers, so that the argument of the polynomials is within π/4.
    """
    quarter = u32(u32(turns + EIGHTH_TURN) >> QUARTER_TURN)
    x = f32(i32(turns - u32(quarter << QUARTER_TURN))) * RADIANS
    square = x * x
    sine = polynomial(SIN_SERIES, square) * square * x + x
    cosine = polynomial(COS_SERIES, square) * square * square - square * _HALF + _UNIT
    is_odd = (quarter & _ONE) == _ONE
    sine, cosine = where(is_odd, cosine, sine), where(is_odd, sine, cosine)
    sine = where(quarter >= _TWO, -sine, sine)
    cosine = where((quarter == _ONE) | (quarter == _TWO), -cosine, cosine)
    return sine, cosine


def normal_quantile(centred: Floats, tail: Floats) -> Floats:
    """The z for which a standard normal variable is below z with probability p, within 2e-6 for |z| ≤ 4.

    `centred` is p - 1/2 and `tail` is min(p, 1 - p), each rounded to float32 separately: near an end of (0, 1), a
    float32 p would not have the digits that decide z.
    """
    return inner_or(centred, outer_quantile(tail))


def outer_quantile(tail: Floats) -> Floats:
    """The distance from the mean at which a small `tail` begins."""
    depth = sqrt(-natural_log(tail))
    near = _ratio(QUANTILE_TAIL, depth - TAIL_ORIGIN)
    far = _ratio(QUANTILE_FAR_TAIL, depth - FAR_TAIL)
    return where(depth <= FAR_TAIL, near, far)


def inner_or(centred: Floats, outer: Floats) -> Floats:
    """The quantile near the mean; far from it, `outer` with the sign of its side."""
    central = centred * _ratio(QUANTILE_CENTRAL, CENTRAL_SQUARED - centred * centred)
    outer = where(centred < 0, -outer, outer)
    return where(abs(centred) <= CENTRAL, central, outer)


def polynomial(coefficients: Sequence[float | np.float32], x: Floats) -> Floats:
    """Horner's rule, highest power first."""
    result = x * coefficients[0] + coefficients[1]
    for coefficient in coefficients[2:]:
        result = result * x + coefficient
    return result


def _ratio(coefficients: tuple[Sequence[np.float32], Sequence[np.float32]], x: Floats) -> Floats:
    numerator, denominator = coefficients
    return polynomial(numerator, x) / polynomial(denominator, x)


def rebuilt(module: ModuleType, own: Mapping[str, object], *, by: Callable[[FunctionType], Any]) -> ModuleType:
    """A copy of `module` whose functions use `own` names in place of the module's. `by` wraps each function."""
    copy = ModuleType(module.__name__)
    names = vars(copy)
    names.update(vars(module))
    for name, function in vars(module).items():
        if isinstance(function, FunctionType):
            names[name] = by(FunctionType(function.__code__, names, name))
    names.update(own)
    return copy
