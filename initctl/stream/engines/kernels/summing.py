"""What stored elements come to: sums in order, and moments, extremes and counts."""

from __future__ import annotations

from math import nan

from numba import carray

from initctl.stream.engines import abi
from initctl.stream.engines.abi import TILE
from initctl.stream.engines.kernels.casting import load
from initctl.stream.engines.kernels.compiling import (
    MAGNITUDE,
    MANTISSA_BITS,
    f32,
    f64,
    i32,
    i64,
    inlined,
    loop,
    u8,
    u16,
    u32,
    u64,
)
from initctl.stream.philox import LANES

_INFINITE = u32(0x7F800000)
_WHOLE = LANES * TILE
_LEAST, _MOST = u32(0x322BCC77), u32(0x5D5E0B6B)
"""1e-8 and 1e18, in bits: in float32, squares of numbers between them neither vanish nor overflow."""
_AT_ONCE = 512
"""Sums that are kept side by side: enough for vectors, few enough to stay in the first cache with what they add up."""


@loop
def _sum(values, around, total):
    """The squared distances from `around` added to `total`; if it is NaN, the values themselves."""
    is_plain = around != around
    for i in range(values.size):
        value = f64(values[i])
        total = total + (value if is_plain else (value - around) * (value - around))
    return total


def added(stored, count, dtype, sums, scratch):
    """Add to the first of `sums` each of `count` elements; unless the second is NaN, its squared distance from that."""
    dtype, sums, scratch = carray(dtype, 1, abi.DTYPE)[0], carray(sums, 2, f64), carray(scratch, 1, abi.SCRATCH)[0]
    for first in range(0, count, LANES * TILE):
        last = min(first + LANES * TILE, count)
        if dtype.width == 8:
            sums[0] = _sum(carray(stored, last, f64)[first:], sums[1], sums[0])
        else:
            values = scratch.reals[0][: last - first]
            load(stored, first, dtype, values)
            sums[0] = _sum(values, sums[1], sums[0])


@loop
def _counts(values, smallest_normal):
    """The bits of the largest magnitude, how many values are zeros, how many are smaller than normal numbers, and the
    smallest and the largest as whole numbers in the same order.
    """
    top, zeros, small, lowest, highest = u32(0), u32(0), u32(0), i32(0x7FFFFFFF), i32(-0x80000000)
    for i in range(values.size):
        bits = f32(values[i]).view(u32)
        magnitude = u32(bits & MAGNITUDE)
        top = max(top, magnitude)
        zeros = u32(zeros + u32(magnitude == u32(0)))
        small = u32(small + u32(magnitude < smallest_normal))
        rank = u32(bits ^ (MAGNITUDE if bits != magnitude else u32(0))).view(i32)
        lowest, highest = min(lowest, rank), max(highest, rank)
    return top, zeros, small, lowest, highest


@loop
def _add(values, around, totals, squares):
    """To each place of `totals` a value, and to that of `squares` the square of its distance from `around`."""
    for i in range(values.size):
        distance = f64(values[i]) - around
        totals[i] += f64(values[i])
        squares[i] += distance * distance


@inlined
def _sum_of_eight(a, b, c, d, e, f, g, h):
    return ((a + b) + (c + d)) + ((e + f) + (g + h))


@loop
def _add_of_eight(values, around, totals, squares):
    """The same for eight times as many values: those of one place together, their squares in float32."""
    n = u64(values.size) >> u64(3)
    for i in range(n):
        a, b, c, d = values[i], values[i + n], values[i + u64(2) * n], values[i + u64(3) * n]
        e, f, g, h = values[i + u64(4) * n], values[i + u64(5) * n], values[i + u64(6) * n], values[i + u64(7) * n]
        totals[i] += _sum_of_eight(f64(a), f64(b), f64(c), f64(d), f64(e), f64(f), f64(g), f64(h))
        a, b, c, d = a - around, b - around, c - around, d - around
        e, f, g, h = e - around, f - around, g - around, h - around
        squares[i] += f64(_sum_of_eight(a * a, b * b, c * c, d * d, e * e, f * f, g * g, h * h))


@loop
def _keep_finite(values, kept, found):
    """How many values are finite; these are put together in `kept`. The others are counted."""
    count = 0
    for i in range(values.size):
        value = f32(values[i])
        magnitude = u32(value.view(u32) & MAGNITUDE)
        if magnitude < _INFINITE:
            kept[count] = value
            count += 1
        elif magnitude == _INFINITE:
            found.infinite += 1
        else:
            found.nan += 1
    return count


@loop
def _infinities(codes, dtype):
    """How many of the `codes` of a float of fewer than 32 bits are infinite. Some floats have only NaN."""
    count, sign = 0, u32(u32(1) << u32(8 * dtype.width - 1))
    if dtype.overflow & ((1 << dtype.mantissa) - 1):
        return count
    for i in range(codes.size):
        count += u32(u32(codes[i]) & u32(sign - u32(1))) == u32(dtype.overflow)
    return count


@loop
def _finite_mean(values):
    """The mean of the finite ones; NaN if there are none."""
    total, count = 0.0, 0
    for i in range(values.size):
        if u32(f32(values[i]).view(u32) & MAGNITUDE) < _INFINITE:
            total, count = total + f64(values[i]), count + 1
    return f32(total / count) if count else f32(nan)


@loop
def _add_tile(values, smallest_normal, scratch, found):
    """Add what `values` come to, if all are finite; returns whether one is not."""
    top, zeros, small, lowest, highest = _counts(values, smallest_normal)
    if top >= _INFINITE:
        return True
    if values.size == _WHOLE and _LEAST < top < _MOST and abs(found.around) < 1e18:
        _add_of_eight(values, f32(found.around), scratch.doubles[0], scratch.doubles[1])
    else:
        for first in range(0, values.size, _AT_ONCE):
            _add(values[first : first + _AT_ONCE], found.around, scratch.doubles[0], scratch.doubles[1])
    found.zeros += i64(zeros)
    found.subnormal += i64(small) - i64(zeros)
    found.lowest = min(found.lowest, i64(lowest))
    found.highest = max(found.highest, i64(highest))
    return False


@loop
def _measure(values, smallest_normal, scratch, found):
    """Add what `values` come to: see `abi.MOMENTS`."""
    if found.around != found.around:
        found.around = f64(_finite_mean(values))
    if _add_tile(values, smallest_normal, scratch, found):
        count = _keep_finite(values, scratch.reals[1], found)
        _add_tile(scratch.reals[1][:count], smallest_normal, scratch, found)


@loop
def _measure_stored(stored, start, stop, dtype, scratch, found):
    """Add to `found` what the elements from number `start` to `stop` come to."""
    is_narrow = dtype.width < 4 and dtype.bias != 127
    smallest_normal = u32((128 - dtype.bias if is_narrow else 1) << MANTISSA_BITS)
    used = min(stop - start, _AT_ONCE)
    scratch.doubles[0][:used] = 0.0
    scratch.doubles[1][:used] = 0.0
    for first in range(start, stop, LANES * TILE):
        last = min(first + LANES * TILE, stop)
        if dtype.width == 4:
            _measure(carray(stored, last, f32)[first:], smallest_normal, scratch, found)
            continue
        values, before = scratch.reals[0][: last - first], found.nan
        load(stored, first, dtype, values)
        _measure(values, smallest_normal, scratch, found)
        if is_narrow and found.nan > before:  # `load` gives NaN for both
            if dtype.width == 2:
                infinite = _infinities(carray(stored, last, u16)[first:], dtype)
            else:
                infinite = _infinities(carray(stored, last, u8)[first:], dtype)
            found.infinite += infinite
            found.nan -= infinite
    for i in range(used):
        found.total += scratch.doubles[0][i]
        found.squares += scratch.doubles[1][i]


def measured(stored, count, bounds, dtype, scratch, found):
    """Add to each of `found` what elements of at most 32 bits come to: see `abi.MOMENTS`. There are `count` runs of
    them, each from one of its `bounds` to the other.
    """
    dtype, scratch = carray(dtype, 1, abi.DTYPE)[0], carray(scratch, 1, abi.SCRATCH)[0]
    bounds, found = carray(bounds, (count, 2), i64), carray(found, count, abi.MOMENTS)
    for run in range(count):
        _measure_stored(stored, bounds[run, 0], bounds[run, 1], dtype, scratch, found[run])
