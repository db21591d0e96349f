"""float32 numbers from and to the elements of any float of at most 64 bits."""

from __future__ import annotations

from numba import carray

from initctl.stream.engines.kernels.compiling import (
    MAGNITUDE,
    MANTISSA_BITS,
    SIGN_BIT,
    each,
    f32,
    f64,
    i32,
    inlined,
    loop,
    u8,
    u16,
    u32,
)

_NAN = u32(0x7FC00000)


@inlined
def _itself(x):
    return x


@inlined
def _bfloat16(x):
    """The upper half of a float32, rounded to nearest even."""
    bits = f32(x).view(u32)
    return u32(u32(bits + u32(0x7FFF) + u32(u32(bits >> u32(16)) & u32(1))) >> u32(16))


@inlined
def _from_bfloat16(code):
    return u32(u32(code) << u32(16)).view(f32)


copy, _to_bfloat16s, _from_bfloat16s = map(each, (_itself, _bfloat16, _from_bfloat16))


@loop
def _narrow(values, dtype, out):
    """Round `values` to nearest even, to a float of fewer bits: see `abi.DTYPE`."""
    mantissa, bias = dtype.mantissa, dtype.bias
    largest, overflow, has_minus_zero = u32(dtype.largest), u32(dtype.overflow), u32(dtype.minus_zero)
    shift = u32(MANTISSA_BITS - mantissa)
    below_half = u32((1 << (MANTISSA_BITS - mantissa - 1)) - 1)
    rebias = u32((127 - bias) << mantissa)
    smallest_normal = u32((128 - bias) << MANTISSA_BITS)
    unit_bits = u32((128 - bias - mantissa + MANTISSA_BITS) << MANTISSA_BITS)
    unit = u32(unit_bits).view(f32)  # adding it rounds a small number to a multiple of the smallest step
    sign_bit = u32(8 * dtype.width - 1)
    for i in range(values.size):
        bits = f32(values[i]).view(u32)
        magnitude = u32(bits & MAGNITUDE)
        odd = u32(u32(magnitude >> shift) & u32(1))
        normal = u32(u32(u32(magnitude + below_half + odd) >> shift) - rebias)
        subnormal = u32(f32(u32(magnitude).view(f32) + unit).view(u32) - unit_bits)
        code = subnormal if magnitude < smallest_normal else normal
        code = overflow if code > largest else code
        sign = u32(u32(bits >> SIGN_BIT) << sign_bit)
        out[i] = u32(code | (sign if u32(code | has_minus_zero) else u32(0)))


@loop
def store(values, dtype, out, place):
    """Cast `values` to the elements of `out` from number `place`."""
    width, stop = dtype.width, place + values.size
    if width == 4:
        copy(values, carray(out, stop, f32)[place:])
    elif width == 8:
        copy(values, carray(out, stop, f64)[place:])
    elif width == 2 and dtype.bias == 127:
        _to_bfloat16s(values, carray(out, stop, u16)[place:])
    elif width == 2:
        _narrow(values, dtype, carray(out, stop, u16)[place:])
    else:
        _narrow(values, dtype, carray(out, stop, u8)[place:])


@loop
def widen(codes, dtype, values):
    """Convert a float of fewer bits exactly to float32. Codes that are not finite become NaN."""
    mantissa, bias = dtype.mantissa, dtype.bias
    largest, has_minus_zero = u32(dtype.largest), u32(dtype.minus_zero)
    shift, sign_shift = u32(MANTISSA_BITS - mantissa), u32(32 - 8 * dtype.width)
    sign_bit = u32(u32(1) << u32(8 * dtype.width - 1))
    rebias, smallest_normal = u32((127 - bias) << MANTISSA_BITS), u32(1 << mantissa)
    step = u32((128 - bias - mantissa) << MANTISSA_BITS).view(f32)  # between subnormal numbers
    for i in range(codes.size):
        code = u32(codes[i])
        magnitude = u32(code & u32(sign_bit - u32(1)))
        subnormal, normal = f32(f32(i32(magnitude)) * step).view(u32), u32(u32(magnitude << shift) + rebias)
        size = subnormal if magnitude < smallest_normal else normal
        is_number = magnitude <= largest and (has_minus_zero != u32(0) or code != sign_bit)
        sign = u32(u32(code & sign_bit) << sign_shift)
        values[i] = u32(size | sign if is_number else _NAN).view(f32)


@loop
def widen_halves(codes, dtype, values):
    """The same for 16 bits."""
    if dtype.bias == 127:
        _from_bfloat16s(codes, values)
    else:
        widen(codes, dtype, values)


@loop
def load(stored, place, dtype, values):
    """The elements of `stored` from number `place`, as float32 numbers."""
    width, stop = dtype.width, place + values.size
    if width == 4:
        copy(carray(stored, stop, f32)[place:], values)
    elif width == 2:
        widen_halves(carray(stored, stop, u16)[place:], dtype, values)
    else:
        widen(carray(stored, stop, u8)[place:], dtype, values)
