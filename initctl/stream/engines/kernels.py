"""The compiled engine's loops, written for Numba: value stream v1 from words to bytes, tile by tile.

Imported only where object code has to be made anew (see `object_code`). Constants are the reference's own.

What makes them fast is that each loop is short and does one thing to a tile that fits the cache, so that the compiler
turns it into vector instructions: words, then radius, then angle, then cast. Merged into one they run five times
slower. What keeps the bits equal is that nothing is fused: no fastmath, and every step is cast back to 32 bits, since
Numba computes small integers in 64.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numba import carray, cfunc, njit, types

from initctl.stream import elementary, philox
from initctl.stream.elementary import (
    CENTRAL,
    CENTRAL_SQUARED,
    EIGHTH_TURN,
    FAR_TAIL,
    LN2_HIGH,
    LN2_LOW,
    QUARTER_TURN,
    RADIANS,
    SQRT_HALF_BITS,
    TAIL_ORIGIN,
)
from initctl.stream.engines.abi import (
    CONSTANT,
    LAYOUT_FIELDS,
    NORMAL,
    PARAMETERS,
    RUN_FIELDS,
    SCRATCH_REALS,
    SCRATCH_WORDS,
    SIGNATURES,
    TILE,
    UNIFORM,
    WORDS,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numba.core.ccallback import CFunc

f32, i32, u8, u16, u32, u64 = np.float32, np.int32, np.uint8, np.uint16, np.uint32, np.uint64

LANES = philox.LANES
_TILED = LANES * TILE
_MULTIPLIER0, _MULTIPLIER1 = philox.MULTIPLIERS
_WEYL0, _WEYL1 = map(u64, philox.WEYL)
_WORD = u64(0xFFFFFFFF)
_HALF = u64(32)
_ONE, _TWO, _THREE, _FOUR = map(u64, range(1, 5))  # an unsigned index cannot count from the end: one check less

_MANTISSA_BITS = i32(elementary.MANTISSA_BITS)
_A_HALF, _UNIT, _MINUS_TWO = f32(0.5), f32(1), f32(-2)
_UNIT24, _UNIT32, _UNIT33 = f32(2.0**-24), f32(2.0**-32), f32(2.0**-33)
_MAGNITUDE, _SIGN_BIT = u32(0x7FFFFFFF), u32(31)

loop = njit(error_model="numpy")
inlined = njit(error_model="numpy", forceinline=True)  # a call would keep the loop around it from becoming vectors


def _horner(coefficients: Sequence[float]) -> Any:
    """A compiled function that evaluates the polynomial, highest power first."""
    first, *rest = map(f32, coefficients)
    others = tuple(rest)

    @inlined
    def polynomial(x):
        result = first
        for coefficient in others:
            result = result * x + coefficient
        return result

    return polynomial


_ln_series, _sin_series, _cos_series = map(
    _horner, (elementary.LN_SERIES, elementary.SIN_SERIES, elementary.COS_SERIES)
)
_central_over, _central_under = map(_horner, elementary.QUANTILE_CENTRAL)
_tail_over, _tail_under = map(_horner, elementary.QUANTILE_TAIL)
_far_tail_over, _far_tail_under = map(_horner, elementary.QUANTILE_FAR_TAIL)


@inlined
def _block(key0, key1, block, stream):
    """The four words of one block, in the low halves of 64-bit numbers: what stands above them does not matter."""
    c0, c1, c2, c3 = block, block >> _HALF, u64(0), stream
    for _ in range(philox.ROUNDS):
        product0 = (c0 & _WORD) * _MULTIPLIER0
        product1 = (c2 & _WORD) * _MULTIPLIER1
        c0, c1 = (product1 >> _HALF) ^ c1 ^ key0, product1
        c2, c3 = (product0 >> _HALF) ^ c3 ^ key1, product0
        key0 += _WEYL0
        key1 += _WEYL1
    return c0, c1, c2, c3


@loop
def _words(key0, key1, stream, first, count, words):
    """The words of `count` blocks from block `first`."""
    for i in range(u64(count)):
        c0, c1, c2, c3 = _block(key0, key1, u64(first) + i, stream)
        words[_FOUR * i], words[_FOUR * i + _ONE] = u32(c0), u32(c1)
        words[_FOUR * i + _TWO], words[_FOUR * i + _THREE] = u32(c2), u32(c3)


@loop
def _word_pairs(key0, key1, stream, first, count, evens, odds):
    """The words of `count` blocks from block `first`, those of even lanes and those of odd lanes."""
    for i in range(u64(count)):
        c0, c1, c2, c3 = _block(key0, key1, u64(first) + i, stream)
        evens[_TWO * i], evens[_TWO * i + _ONE] = u32(c0), u32(c2)
        odds[_TWO * i], odds[_TWO * i + _ONE] = u32(c1), u32(c3)


@inlined
def _natural_log(x):
    bits = f32(x).view(i32)
    exponent = i32(i32(bits - SQRT_HALF_BITS) >> _MANTISSA_BITS)
    f = i32(bits - i32(exponent << _MANTISSA_BITS)).view(f32) - _UNIT
    power = f32(exponent)
    square = f * f
    rest = _ln_series(f) * f * square
    rest = rest + power * LN2_LOW
    rest = rest - square * _A_HALF
    return (f + rest) + power * LN2_HIGH


@loop
def _radii(words, count, radii):
    """Box and Muller's radius from the first word of each pair."""
    for i in range(count):
        u = f32(words[i]) * _UNIT32 + _UNIT33
        radii[i] = np.sqrt(_natural_log(u) * _MINUS_TWO)


@loop
def _normals(words, radii, count, mean, std, values):
    """Two normal values from each pair: the radius, and the angle in the second word."""
    for i in range(u64(count)):
        turns = words[i]
        quarter = u32(u32(turns + EIGHTH_TURN) >> QUARTER_TURN)
        x = f32(u32(turns - u32(quarter << QUARTER_TURN)).view(i32)) * RADIANS
        square = x * x
        sine = f32(_sin_series(square) * square * x + x).view(u32)
        cosine = f32(_cos_series(square) * square * square - square * _A_HALF + _UNIT).view(u32)
        swapped = u32(u32(sine ^ cosine) & u32(u32(0) - u32(quarter & u32(1))))
        sine = u32(u32(sine ^ swapped) ^ u32(u32(quarter >> u32(1)) << _SIGN_BIT))
        cosine = u32(u32(cosine ^ swapped) ^ u32(u32(u32(quarter + u32(1)) >> u32(1)) << _SIGN_BIT))
        values[_TWO * i] = mean + std * (radii[i] * u32(cosine).view(f32))
        values[_TWO * i + _ONE] = mean + std * (radii[i] * u32(sine).view(f32))


@loop
def _uniforms(words, count, a, spread, values):
    for i in range(count):
        values[i] = a + spread * (f32(u32(words[i] >> u32(8))) * _UNIT24)


@loop
def _probabilities(words, count, low, high, is_above, centred, tails):
    """What `normal_quantile` takes, from one word each: p - 1/2, and the smaller of p and 1 - p."""
    for i in range(count):
        fraction = (np.float64(words[i]) + 0.5) * 2.0**-32
        p = low + (high - low) * (1 - fraction if is_above else fraction)
        centred[i] = f32(p - 0.5)
        tails[i] = f32(min(p, 1 - p))


@loop
def _outer_quantiles(tails, count, values):
    """How far from the mean the smaller tails begin."""
    for i in range(count):
        depth = np.sqrt(-_natural_log(tails[i]))
        near, far = depth - TAIL_ORIGIN, depth - FAR_TAIL
        nearer = _tail_over(near) / _tail_under(near)
        farther = _far_tail_over(far) / _far_tail_under(far)
        values[i] = nearer if depth <= FAR_TAIL else farther


@loop
def _truncated_normals(centred, outer, count, mean, std, a, b, sign, values):
    """Truncated normal values: the quantile where the law is dense, `outer` where it is not, kept in [a, b]."""
    for i in range(count):
        c = centred[i]
        r = CENTRAL_SQUARED - c * c
        inner = c * (_central_over(r) / _central_under(r))
        z = -outer[i] if c < f32(0) else outer[i]
        z = inner if abs(c) <= CENTRAL else z
        value = mean + std * (sign * z)
        value = a if value < a else value
        values[i] = b if value > b else value


@loop
def _to_bfloat16(values, out):
    """The upper half of a float32, rounded to nearest even."""
    for i in range(values.size):
        bits = f32(values[i]).view(u32)
        out[i] = u32(u32(bits + u32(0x7FFF) + u32(u32(bits >> u32(16)) & u32(1))) >> u32(16))


@loop
def _narrow(values, layout, out):
    """Round to nearest even, to a float of fewer bits: see `abi.LAYOUT_FIELDS`."""
    mantissa, bias = layout[1], layout[2]
    largest, overflow, has_minus_zero = u32(layout[3]), u32(layout[4]), u32(layout[5])
    shift = u32(elementary.MANTISSA_BITS - mantissa)
    below_half = u32((1 << (elementary.MANTISSA_BITS - mantissa - 1)) - 1)
    rebias = u32((127 - bias) << mantissa)
    smallest_normal = u32((128 - bias) << elementary.MANTISSA_BITS)
    unit_bits = u32((128 - bias - mantissa + elementary.MANTISSA_BITS) << elementary.MANTISSA_BITS)
    unit = u32(unit_bits).view(f32)  # added to a small number, it rounds it to a whole number of the least steps
    sign_bit = u32(8 * layout[0] - 1)
    for i in range(values.size):
        bits = f32(values[i]).view(u32)
        magnitude = u32(bits & _MAGNITUDE)
        odd = u32(u32(magnitude >> shift) & u32(1))
        normal = u32(u32(u32(magnitude + below_half + odd) >> shift) - rebias)
        subnormal = u32(f32(u32(magnitude).view(f32) + unit).view(u32) - unit_bits)
        code = subnormal if magnitude < smallest_normal else normal
        code = overflow if code > largest else code
        sign = u32(u32(bits >> _SIGN_BIT) << sign_bit)
        out[i] = u32(code | (sign if u32(code | has_minus_zero) else u32(0)))


@loop
def _store(values, layout, out, position):
    """Cast `values` to the elements of `out` from `position`."""
    width, stop = layout[0], position + values.size
    if width == 4:
        _copy(values, carray(out, stop, f32)[position:])
    elif width == 8:
        _copy(values, carray(out, stop, np.float64)[position:])
    elif width == 2 and layout[2] == 127:
        _to_bfloat16(values, carray(out, stop, u16)[position:])
    elif width == 2:
        _narrow(values, layout, carray(out, stop, u16)[position:])
    else:
        _narrow(values, layout, carray(out, stop, u8)[position:])


@loop
def _copy(values, out):
    for i in range(values.size):
        out[i] = values[i]


@loop
def _values(law, key0, key1, stream, block, count, p, words, reals, values):
    """The values of `count` blocks from `block`. No loop reads and writes the same array: that one would be slow."""
    length = LANES * count
    if law == NORMAL:
        evens, odds, radii = words[: _TILED // 2], words[_TILED // 2 :], reals
        _word_pairs(key0, key1, stream, block, count, evens, odds)
        _radii(evens, length // 2, radii)
        _normals(odds, radii, length // 2, f32(p[0]), f32(p[1]), values)
        return
    _words(key0, key1, stream, block, count, words)
    if law == UNIFORM:
        _uniforms(words, length, f32(p[0]), f32(p[1]), values)
    else:
        centred, tails, outer = reals[:_TILED], reals[_TILED : 2 * _TILED], reals[2 * _TILED :]
        _probabilities(words, length, p[4], p[5], p[6] < 0, centred, tails)
        _outer_quantiles(tails, length, outer)
        _truncated_normals(centred, outer, length, f32(p[0]), f32(p[1]), f32(p[2]), f32(p[3]), f32(p[6]), values)


@loop
def _repeat(pattern, width, out, position, count):
    """`count` elements of `width` bytes, all with the bits of `pattern`, in `out` from `position`."""
    stop = position + count
    if width == 8:
        carray(out, stop, u64)[position:] = u64(pattern)
    elif width == 4:
        carray(out, stop, u32)[position:] = u32(pattern)
    elif width == 2:
        carray(out, stop, u16)[position:] = u16(pattern)
    else:
        carray(out, stop, u8)[position:] = u8(pattern)


@loop
def _fill(law, key0, key1, stream, start, stop, parameters, layout, words, reals, out, origin):
    """The elements from `start` to `stop` of a law, cast as `layout` says, in `out` from element `origin`."""
    for block in range(start // LANES, (stop + LANES - 1) // LANES, TILE):
        count = min(TILE, (stop + LANES - 1) // LANES - block)
        first, last = max(start - LANES * block, 0), min(stop - LANES * block, LANES * count)
        position = origin + LANES * block + first - start
        if law == WORDS:
            _words(key0, key1, stream, block, count, words)
            _copy(words[first:last], carray(out, position + last - first, u32)[position:])
        elif layout[0] == 4 and last - first == LANES * count:  # the values are what is asked for
            values = carray(out, position + last, f32)[position:]
            _values(law, key0, key1, stream, block, count, parameters, words, reals[_TILED:], values)
        else:
            _values(law, key0, key1, stream, block, count, parameters, words, reals[_TILED:], reals[:_TILED])
            _store(reals[first:last], layout, out, position)


def fill(count, runs, parameters, layouts, words, reals, out):
    """`count` runs of laws: see `abi.RUN_FIELDS`. There are no more rows of parameters and of layouts than runs."""
    runs, parameters = carray(runs, (count, RUN_FIELDS)), carray(parameters, (count, PARAMETERS))
    layouts = carray(layouts, (count, LAYOUT_FIELDS))
    words, reals = carray(words, SCRATCH_WORDS), carray(reals, SCRATCH_REALS)
    for i in range(count):
        law, row, start, stop, origin = runs[i, 0], runs[i, 1], runs[i, 6], runs[i, 7], runs[i, 8]
        layout, key0, key1, stream = layouts[runs[i, 2]], u64(runs[i, 3]), u64(runs[i, 4]), u64(runs[i, 5])
        if law == CONSTANT:
            _repeat(row, layout[0], out, origin, stop - start)
        else:
            _fill(law, key0, key1, stream, start, stop, parameters[row], layout, words, reals, out, origin)


def encode(values, count, layout, out):
    """Cast `count` float32 values as `layout` says."""
    _store(carray(values, count), carray(layout, LAYOUT_FIELDS), out, 0)


@loop
def _column(key0, key1, stream, columns, column, words):
    """The words of one column of a matrix."""
    for row in range(words.size):
        index = u64(row) * u64(columns) + u64(column)
        c0, c1, c2, c3 = _block(key0, key1, index >> u64(2), stream)
        lane = index & u64(3)
        lower, upper = (c0 if lane == u64(0) else c1), (c2 if lane == u64(2) else c3)
        words[row] = u32(lower if lane < u64(2) else upper)


@loop
def _four_columns(key0, key1, stream, columns, column, words0, words1, words2, words3):
    """The same for four that a block's lanes are, in a matrix of four times as many."""
    for row in range(words0.size):
        index = u64(row) * u64(columns) + u64(column)
        c0, c1, c2, c3 = _block(key0, key1, index >> u64(2), stream)
        words0[row], words1[row], words2[row], words3[row] = u32(c0), u32(c1), u32(c2), u32(c3)


@loop
def _kth(words, k):
    """The k-th smallest of the numbers `word << 32 | row`.

    The word is found bit by bit: the largest that fewer than `k` words are smaller than.
    """
    word, smaller = u32(0), 0
    for bit in range(32):
        trial = u32(word | u32(u32(1) << u32(31 - bit)))
        below = 0
        for row in range(words.size):
            below += u32(words[row] < trial)
        if below < k:
            word, smaller = trial, below
    row, left = -1, k - smaller
    while left > 0:
        row += 1
        left -= u32(words[row] == word)
    return (u64(word) << _HALF) | u64(row)


def kth_smallest(key0, key1, stream, rows, columns, first, last, k, words, out):
    """For each column from `first` to `last`, the k-th smallest of its elements' numbers `word << 32 | row`."""
    key0, key1, stream = u64(key0), u64(key1), u64(stream)
    words, found = carray(words, LANES * rows), carray(out, last - first, u64)
    words0, words1 = words[:rows], words[rows : 2 * rows]
    words2, words3 = words[2 * rows : 3 * rows], words[3 * rows :]
    if columns % LANES == 0 and first % LANES == 0:
        for column in range(first, last, LANES):
            _four_columns(key0, key1, stream, columns, column, words0, words1, words2, words3)
            found[column - first] = _kth(words0, k)
            found[column - first + 1] = _kth(words1, k)
            found[column - first + 2] = _kth(words2, k)
            found[column - first + 3] = _kth(words3, k)
    else:
        for column in range(first, last):
            _column(key0, key1, stream, columns, column, words0)
            found[column - first] = _kth(words0, k)


@loop
def _zero(words, row, cutoffs, values):
    for i in range(words.size):
        values[i] = f32(0) if ((u64(words[i]) << _HALF) | row) <= cutoffs[i] else values[i]


def fill_zeroed(key0, key1, stream, start, stop, std, columns, cutoffs, layout, words, reals, out):
    """As `fill` for a normal law around -0, with zero where `word << 32 | row` does not exceed the column's cutoff."""
    key0, key1, stream = u64(key0), u64(key1), u64(stream)
    parameters, layout = carray(std, 2), carray(layout, LAYOUT_FIELDS)
    cutoffs, words, reals = carray(cutoffs, columns, u64), carray(words, SCRATCH_WORDS), carray(reals, SCRATCH_REALS)
    values = reals[:_TILED]
    for block in range(start // LANES, (stop + LANES - 1) // LANES, TILE):
        count = min(TILE, (stop + LANES - 1) // LANES - block)
        _values(NORMAL, key0, key1, u64(0), block, count, parameters, words, reals[_TILED:], values)
        _words(key0, key1, stream, block, count, words)
        first, last = max(start - LANES * block, 0), min(stop - LANES * block, LANES * count)
        position = LANES * block + first - start
        reached = first
        while reached < last:  # to the end of a row, or of the tile
            row, column = (LANES * block + reached) // columns, (LANES * block + reached) % columns
            end = min(reached + columns - column, last)
            _zero(words[reached:end], u64(row), cutoffs[column : column + end - reached], values[reached:end])
            reached = end
        _store(values[first:last], layout, out, position)


_C_TYPES = {
    "i": types.int64,
    "d": types.CPointer(types.float64),
    "l": types.CPointer(types.int64),
    "u": types.CPointer(types.uint32),
    "r": types.CPointer(types.float32),
    "p": types.voidptr,
}


def _exported(kernel: Callable[..., None]) -> CFunc:
    types_of = map(_C_TYPES.__getitem__, SIGNATURES[kernel.__name__])
    function: CFunc = cfunc(types.void(*types_of), nopython=True, error_model="numpy")(kernel)
    return function


KERNELS = {kernel.__name__: _exported(kernel) for kernel in (fill, fill_zeroed, encode, kth_smallest)}
"""Each kernel as a function with the calling convention of C."""
