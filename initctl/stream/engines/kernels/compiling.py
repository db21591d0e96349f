"""What all loops are written with: how they are compiled, the types of numbers, and the formulas of the reference."""

from __future__ import annotations

import numpy as np
from numba import njit

from initctl.stream import elementary, elementary64, philox
from initctl.stream.elementary import rebuilt

f32, f64 = np.float32, np.float64
i8, i16, i32, i64 = np.int8, np.int16, np.int32, np.int64
u8, u16, u32, u64 = np.uint8, np.uint16, np.uint32, np.uint64

MANTISSA_BITS = int(elementary.MANTISSA_BITS)
_MANTISSA_BITS64 = i64(52)
_SQRT_HALF_BITS64 = f64(elementary64.SQRT_HALF).view(i64)
MAGNITUDE, SIGN_BIT = u32(0x7FFFFFFF), u32(31)
"""The bits of a float32 but its sign, and where that is."""

_ALONE = {"error_model": "numpy", "no_cpython_wrapper": True, "no_cfunc_wrapper": True}  # Python calls the kernels only
loop = njit(**_ALONE)
inlined = njit(**_ALONE, forceinline=True)  # a call would keep the loop around it from becoming vectors
exact = njit(**_ALONE, forceinline=True, fastmath={"contract"})
"""For steps whose result does not depend on whether they are fused."""


@inlined
def _where(condition, one, other):
    return one if condition else other


@inlined
def _log_parts(x):
    """As the reference's, for normal numbers."""
    bits = f64(x).view(i64)
    power = i64(bits - _SQRT_HALF_BITS64) >> _MANTISSA_BITS64
    return i64(bits - (power << _MANTISSA_BITS64)).view(f64) - 1.0, f64(i32(power))


cipher = rebuilt(philox, {}, by=inlined)
reals = rebuilt(elementary, {"where": _where}, by=inlined)
doubles = rebuilt(elementary64, {"where": _where, "log_parts": _log_parts}, by=inlined)


def each(formula):
    """A loop that computes each of `out` by `formula` from one number of `given`."""

    @loop
    def over(given, out):
        for i in range(out.size):
            out[i] = formula(given[i])

    return over
