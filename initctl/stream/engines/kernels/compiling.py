"""Tools for all loops: how they are compiled, the types of numbers, and the formulas of the reference."""

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
"""The bits of a float32 without its sign, and the position of the sign."""

_ALONE = {"error_model": "numpy", "no_cpython_wrapper": True, "no_cfunc_wrapper": True}  # Python calls only the kernels
loop = njit(**_ALONE)
inlined = njit(**_ALONE, forceinline=True)  # a call would prevent vector instructions in the loop around it
exact = njit(**_ALONE, forceinline=True, fastmath={"contract"})
"""For steps that give the same result fused or not."""


@inlined
def _where(condition, one, other):
    return one if condition else other


@inlined
def _log_parts(x):
    """The reference's function, for normal numbers."""
    bits = f64(x).view(i64)
    power = i64(bits - _SQRT_HALF_BITS64) >> _MANTISSA_BITS64
    return i64(bits - (power << _MANTISSA_BITS64)).view(f64) - 1.0, f64(i32(power))


cipher = rebuilt(philox, {}, by=inlined)
reals = rebuilt(elementary, {"where": _where}, by=inlined)
doubles = rebuilt(elementary64, {"where": _where, "log_parts": _log_parts}, by=inlined)


def each(formula):
    """A loop that computes each number of `out` by `formula` from one number of `given`."""

    @loop
    def over(given, out):
        for i in range(out.size):
            out[i] = formula(given[i])

    return over
