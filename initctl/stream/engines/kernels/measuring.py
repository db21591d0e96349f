"""Moments, extremes and counts of stored elements. See `abi.MOMENTS`."""

from __future__ import annotations

import numpy as np
from numba import carray

from initctl.stream.engines import abi
from initctl.stream.engines.abi import TILE
from initctl.stream.engines.kernels.casting import widen, widen_halves
from initctl.stream.engines.kernels.compiling import (
    MANTISSA_BITS,
    f32,
    f64,
    i8,
    i16,
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

_WHOLE = LANES * TILE
_LEAST, _MOST = u32(0x322BCC77), u32(0x5D5E0B6B)
"""The bits of 1e-8 and 1e18: in float32, squares of numbers between them neither underflow nor overflow."""
_MOST_AROUND = 1e18
_FLOAT32_BIAS = 127
_AT_ONCE = 512
"""Sums that are kept side by side: enough for vectors, few enough for the first-level cache, with their values."""


@loop
def _mean(values):
    total = 0.0
    for i in range(values.size):
        total += f64(values[i])
    return total / values.size


@loop
def _add(values, around, totals, squares):
    """Add the distance of each value from `around` to its place in `totals`, and its square to `squares`."""
    for i in range(values.size):
        distance = f64(values[i]) - around
        totals[i] += distance
        squares[i] += distance * distance


@inlined
def _sum_of_eight(a, b, c, d, e, f, g, h):
    return ((a + b) + (c + d)) + ((e + f) + (g + h))


@loop
def _add_of_eight(values, around, totals, squares):
    """The same for eight times as many values: eight for each place, added together in float32."""
    n = u64(values.size) >> u64(3)
    for i in range(n):
        a, b, c, d = values[i], values[i + n], values[i + u64(2) * n], values[i + u64(3) * n]
        e, f, g, h = values[i + u64(4) * n], values[i + u64(5) * n], values[i + u64(6) * n], values[i + u64(7) * n]
        a, b, c, d = a - around, b - around, c - around, d - around
        e, f, g, h = e - around, f - around, g - around, h - around
        totals[i] += f64(_sum_of_eight(a, b, c, d, e, f, g, h))
        squares[i] += f64(_sum_of_eight(a * a, b * b, c * c, d * d, e * e, f * f, g * g, h * h))


@loop
def _add_values(values, has_squares, scratch, found):
    """Add finite `values` to the sums. `has_squares` says whether the square of the largest is a normal float32."""
    if found.around != found.around:
        found.around = f64(f32(_mean(values)))
    if has_squares and values.size == _WHOLE and abs(found.around) < _MOST_AROUND:
        _add_of_eight(values, f32(found.around), scratch.doubles[0], scratch.doubles[1])
    else:
        for first in range(0, values.size, _AT_ONCE):
            _add(values[first : first + _AT_ONCE], found.around, scratch.doubles[0], scratch.doubles[1])


@loop
def _has_squares(largest, dtype):
    """Whether the square of the number with the code `largest` is a normal float32. With few exponent bits, all are."""
    return dtype.bias != _FLOAT32_BIAS or _LEAST < u32(largest << (MANTISSA_BITS - dtype.mantissa)) < _MOST


def _extremes_of(signed):
    """The loop that finds the smallest and the largest code, as whole numbers in the order of the floats, and the
    smallest magnitude.
    """
    magnitudes, shift = signed(np.iinfo(signed).max), signed(np.iinfo(signed).bits - 1)

    @loop
    def extremes(codes):
        lowest, highest, least = magnitudes, signed(~magnitudes), magnitudes
        for i in range(codes.size):
            code = signed(codes[i])
            rank = signed(code ^ signed(signed(code >> shift) & magnitudes))
            lowest, highest = min(lowest, rank), max(highest, rank)
            least = min(least, signed(code & magnitudes))
        return i64(lowest), i64(highest), i64(least)

    return extremes


def _count_small(unsigned, counter):
    """The loop that counts zeros, and all magnitudes below a limit. Counts have type `counter`, which fits a tile."""
    magnitudes = unsigned(np.iinfo(unsigned).max >> 1)

    @loop
    def count_small(codes, limit):
        zeros, small = counter(0), counter(0)
        for i in range(codes.size):
            magnitude = unsigned(codes[i] & magnitudes)
            zeros = counter(zeros + counter(magnitude < unsigned(1)))
            small = counter(small + counter(magnitude < unsigned(limit)))
        return i64(zeros), i64(small)

    return count_small


def _keep_finite(unsigned):
    """The loop that copies finite numbers to `kept`, returns how many there are, and counts the others."""
    magnitudes = unsigned(np.iinfo(unsigned).max >> 1)
    minus_zero = unsigned(magnitudes + 1)

    @loop
    def keep_finite(codes, dtype, kept, found):
        count, has_infinity = 0, dtype.overflow & ((1 << dtype.mantissa) - 1) == 0
        for i in range(codes.size):
            code = unsigned(codes[i])
            magnitude = i64(code & magnitudes)
            if magnitude <= dtype.largest and (dtype.minus_zero != 0 or code != minus_zero):
                kept[count] = code
                count += 1
            elif has_infinity and magnitude == dtype.overflow:
                found.infinite += 1
            else:
                found.nan += 1
        return count

    return keep_finite


def _measuring(signed, unsigned, counter, as_reals):
    """The loop that measures floats of one width by their codes, read as `signed` or `unsigned` whole numbers.

    `as_reals` converts them to float32.
    """
    extremes, count_small, keep_finite = _extremes_of(signed), _count_small(unsigned, counter), _keep_finite(unsigned)

    @loop
    def add_finite(codes, extent, dtype, scratch, found):
        """Add finite numbers, given by their codes, to `found`. Their extremes are `extent`."""
        lowest, highest, least = extent
        if least < 1 << dtype.mantissa:
            zeros, small = count_small(codes, 1 << dtype.mantissa)
            found.zeros += zeros
            found.subnormal += small - zeros
        found.lowest, found.highest = min(found.lowest, lowest), max(found.highest, highest)
        values = as_reals(codes, dtype, scratch.reals[0][: codes.size])
        _add_values(values, _has_squares(max(highest, ~lowest), dtype), scratch, found)

    @loop
    def measure(codes, dtype, scratch, found):
        """Add the numbers with `codes` to `found`. A type without -0 may have NaN in its place."""
        extent = extremes(codes)
        lowest, highest, least = extent
        if max(highest, ~lowest) <= dtype.largest and (dtype.minus_zero != 0 or least > 0):
            add_finite(codes, extent, dtype, scratch, found)
            return
        kept = scratch.words.view(unsigned)[: codes.size]
        count = keep_finite(codes, dtype, kept, found)
        if count:
            add_finite(kept[:count], extremes(kept[:count]), dtype, scratch, found)

    return measure


@loop
def _floats(codes, dtype, values):  # noqa: ARG001 - all three have the same signature
    return codes.view(f32)


@loop
def _halves(codes, dtype, values):
    widen_halves(codes, dtype, values)
    return values


@loop
def _quarters(codes, dtype, values):
    widen(codes, dtype, values)
    return values


_measure_floats, _measure_halves, _measure_quarters = map(
    _measuring, (i32, i16, i8), (u32, u16, u8), (u32, u16, u32), (_floats, _halves, _quarters)
)


@loop
def _measure(stored, start, stop, dtype, scratch, found):
    """Add the elements from index `start` to `stop` to `found`."""
    used = min(stop - start, _AT_ONCE)
    scratch.doubles[0][:used] = 0.0
    scratch.doubles[1][:used] = 0.0
    for first in range(start, stop, _WHOLE):
        last = min(first + _WHOLE, stop)
        if dtype.width == 4:
            _measure_floats(carray(stored, last, u32)[first:], dtype, scratch, found)
        elif dtype.width == 2:
            _measure_halves(carray(stored, last, u16)[first:], dtype, scratch, found)
        else:
            _measure_quarters(carray(stored, last, u8)[first:], dtype, scratch, found)
    for i in range(used):
        found.total += scratch.doubles[0][i]
        found.squares += scratch.doubles[1][i]


def measured(stored, count, bounds, dtype, scratch, found):
    """Add runs of elements of at most 32 bits to the moments in `found`, one for each run: see `abi.MOMENTS`. There are
    `count` runs, each between its two `bounds`.
    """
    dtype, scratch = carray(dtype, 1, abi.DTYPE)[0], carray(scratch, 1, abi.SCRATCH)[0]
    bounds, found = carray(bounds, (count, 2), i64), carray(found, count, abi.MOMENTS)
    for run in range(count):
        _measure(stored, bounds[run, 0], bounds[run, 1], dtype, scratch, found[run])
