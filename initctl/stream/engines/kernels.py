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

from initctl.stream import elementary, elementary64, philox
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
from initctl.stream.elementary64 import QUARTER_TURN as QUARTER_TURN64
from initctl.stream.engines.abi import (
    AFFINE,
    CONSTANT,
    COUNTED_LOG,
    DTYPE_FIELDS,
    HADAMARD,
    INVERSE_SOFTPLUS,
    LOG_UNIFORM,
    MIXTURE,
    NORMAL,
    PARAMETERS,
    ROW_PLUS_NORMAL,
    RUN_FIELDS,
    SCRATCH,
    SIGNATURES,
    TILE,
    TRUNC_NORMAL,
    UNIFORM,
    WORDS,
    ZEROED_NORMAL,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numba.core.ccallback import CFunc

f32, f64, i32, i64 = np.float32, np.float64, np.int32, np.int64
u8, u16, u32, u64 = np.uint8, np.uint16, np.uint32, np.uint64

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
_MANTISSA_BITS64, _ONE64 = i64(52), i64(1023 << 52)
_SQRT_HALF_BITS64 = f64(elementary64.SQRT_HALF).view(i64)
_LN2 = elementary64.LN2_HIGH + elementary64.LN2_LOW
_NEAR_QUARTER = QUARTER_TURN64[0] + QUARTER_TURN64[1]
_TO_WHOLE = 1.5 * 2.0**52
"""Added to a number, it rounds it to a whole one, which is then in the lowest bits; taken off again, that is left."""
_SIGN_BIT64 = u64(63)
_MAGNITUDE, _SIGN_BIT, _NAN = u32(0x7FFFFFFF), u32(31), u32(0x7FC00000)

loop = njit(error_model="numpy")
inlined = njit(error_model="numpy", forceinline=True)  # a call would keep the loop around it from becoming vectors


def _horner(coefficients: Sequence[float], number: type[np.floating[Any]] = f32) -> Any:
    """A compiled function that evaluates the polynomial, highest power first."""
    first, *rest = map(number, coefficients)
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
_exp_series64, _ln_series64, _sin_series64, _cos_series64 = (
    _horner(series, f64)
    for series in (
        elementary64.EXP_SERIES,
        elementary64.LN_SERIES,
        elementary64.SIN_SERIES,
        elementary64.COS_SERIES,
    )
)


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
        fraction = (f64(words[i]) + 0.5) * 2.0**-32
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


@inlined
def _exponential64(x):
    shifted = x / _LN2 + _TO_WHOLE
    power = shifted - _TO_WHOLE
    rest = (x - power * elementary64.LN2_HIGH) - power * elementary64.LN2_LOW
    scale = i64((f64(shifted).view(i64) << _MANTISSA_BITS64) + _ONE64).view(f64)
    return (1.0 + rest * _exp_series64(rest)) * scale


@inlined
def _natural_log64(x):
    bits = f64(x).view(i64)
    power = i64(bits - _SQRT_HALF_BITS64) >> _MANTISSA_BITS64
    f = i64(bits - (power << _MANTISSA_BITS64)).view(f64) - 1.0
    exponent = f64(i32(power))
    s = f / (2.0 + f)
    square = s * s
    rest = 2.0 * (s + s * square * _ln_series64(square))
    return exponent * elementary64.LN2_HIGH + (exponent * elementary64.LN2_LOW + rest)


@inlined
def _sine64(x, ahead):
    """The sine of `x`; of `ahead` a quarter turn ahead: the cosine."""
    shifted = x / _NEAR_QUARTER + _TO_WHOLE
    quarters = shifted - _TO_WHOLE
    rest = ((x - quarters * QUARTER_TURN64[0]) - quarters * QUARTER_TURN64[1]) - quarters * QUARTER_TURN64[2]
    square = rest * rest
    sine = rest + rest * square * _sin_series64(square)
    cosine = 1.0 - (square / 2.0 - square * square * _cos_series64(square))
    quarter = u64(f64(shifted).view(u64) + ahead)
    bits = f64(cosine if quarter & _ONE else sine).view(u64)
    return u64(bits ^ ((quarter >> _ONE) << _SIGN_BIT64)).view(f64)


@loop
def _log_uniforms(words, count, low, spread, a, b, values):
    """e^u of a u that is uniform from `low` to `low` + `spread`, kept in [a, b]."""
    for i in range(count):
        value = _exponential64(low + spread * ((f64(words[i]) + 0.5) * 2.0**-32))
        values[i] = min(max(value, a), b)


@loop
def _clipped(numbers, count, a, b, values):
    for i in range(count):
        value = f32(numbers[i])
        value = a if value < a else value
        values[i] = b if value > b else value


@loop
def _one_minus_exponentials(x, count, values):
    for i in range(count):
        near = min(x[i], elementary64.NEAR_0)
        series = near * _exp_series64(-near)
        far = 1.0 - _exponential64(-min(x[i], elementary64.LARGEST_EXPONENT))
        values[i] = series if x[i] < elementary64.NEAR_0 else far


@loop
def _near_one_minus_exponentials(x, count, values):
    for i in range(count):
        values[i] = x[i] * _exp_series64(-x[i])


@loop
def _plus_logs(x, y, count, values):
    for i in range(count):
        values[i] = x[i] + _natural_log64(y[i])


@loop
def _sinusoids(row, frequencies, ahead, values):
    for i in range(values.size):
        values[i] = _sine64(row * frequencies[i], ahead)


@loop
def _counted_logs(start, column, values):
    for i in range(values.size):
        values[i] = _natural_log64(start + f64(column + i))


@loop
def _to_bfloat16(values, out):
    """The upper half of a float32, rounded to nearest even."""
    for i in range(values.size):
        bits = f32(values[i]).view(u32)
        out[i] = u32(u32(bits + u32(0x7FFF) + u32(u32(bits >> u32(16)) & u32(1))) >> u32(16))


@loop
def _narrow(values, dtype, out):
    """Round to nearest even, to a float of fewer bits: see `abi.DTYPE_FIELDS`."""
    mantissa, bias = dtype[1], dtype[2]
    largest, overflow, has_minus_zero = u32(dtype[3]), u32(dtype[4]), u32(dtype[5])
    shift = u32(elementary.MANTISSA_BITS - mantissa)
    below_half = u32((1 << (elementary.MANTISSA_BITS - mantissa - 1)) - 1)
    rebias = u32((127 - bias) << mantissa)
    smallest_normal = u32((128 - bias) << elementary.MANTISSA_BITS)
    unit_bits = u32((128 - bias - mantissa + elementary.MANTISSA_BITS) << elementary.MANTISSA_BITS)
    unit = u32(unit_bits).view(f32)  # added to a small number, it rounds it to a whole number of the least steps
    sign_bit = u32(8 * dtype[0] - 1)
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
def _store(values, dtype, out, position):
    """Cast `values` to the elements of `out` from `position`."""
    width, stop = dtype[0], position + values.size
    if width == 4:
        _copy(values, carray(out, stop, f32)[position:])
    elif width == 8:
        _copy(values, carray(out, stop, f64)[position:])
    elif width == 2 and dtype[2] == 127:
        _to_bfloat16(values, carray(out, stop, u16)[position:])
    elif width == 2:
        _narrow(values, dtype, carray(out, stop, u16)[position:])
    else:
        _narrow(values, dtype, carray(out, stop, u8)[position:])


@loop
def _from_bfloat16(codes, values):
    for i in range(codes.size):
        values[i] = u32(u32(codes[i]) << u32(16)).view(f32)


@loop
def _widen(codes, dtype, values):
    """Exactly to float32, a float of fewer bits; what is not finite becomes NaN."""
    mantissa, bias = dtype[1], dtype[2]
    largest, has_minus_zero = u32(dtype[3]), u32(dtype[5])
    shift, sign_shift = u32(elementary.MANTISSA_BITS - mantissa), u32(32 - 8 * dtype[0])
    sign_bit = u32(u32(1) << u32(8 * dtype[0] - 1))
    unit = u32((254 - bias) << elementary.MANTISSA_BITS).view(f32)
    for i in range(codes.size):
        code = u32(codes[i])
        magnitude = u32(code & u32(sign_bit - u32(1)))
        size = f32(u32(magnitude << shift).view(f32) * unit).view(u32)
        is_number = magnitude <= largest and (has_minus_zero != u32(0) or code != sign_bit)
        sign = u32(u32(code & sign_bit) << sign_shift)
        values[i] = u32(size | sign if is_number else _NAN).view(f32)


@loop
def _load(stored, first, last, dtype, values):
    """The elements of `stored` from `first` to `last`, as float32 numbers."""
    width = dtype[0]
    if width == 4:
        _copy(carray(stored, last, f32)[first:], values)
    elif width == 2 and dtype[2] == 127:
        _from_bfloat16(carray(stored, last, u16)[first:], values)
    elif width == 2:
        _widen(carray(stored, last, u16)[first:], dtype, values)
    else:
        _widen(carray(stored, last, u8)[first:], dtype, values)


@loop
def _copy(values, out):
    for i in range(values.size):
        out[i] = values[i]


@loop
def _values(law, key0, key1, stream, block, count, p, words, reals, doubles, values):
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
    elif law == LOG_UNIFORM:
        _log_uniforms(words, length, p[0], p[1], p[2], p[3], doubles)
        _clipped(doubles, length, f32(p[4]), f32(p[5]), values)
    elif law == INVERSE_SOFTPLUS:
        steps, others = doubles[:_TILED], doubles[_TILED:]
        _log_uniforms(words, length, p[0], p[1], p[2], p[3], steps)
        if p[3] < elementary64.NEAR_0:
            _near_one_minus_exponentials(steps, length, others)
        else:
            _one_minus_exponentials(steps, length, others)
        _plus_logs(steps, others, length, values)
    elif law == TRUNC_NORMAL:
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
def _fill(law, key0, key1, stream, start, stop, parameters, dtype, words, reals, doubles, out, origin):
    """The elements from `start` to `stop` of a law, cast to `dtype`, in `out` from element `origin`."""
    for block in range(start // LANES, (stop + LANES - 1) // LANES, TILE):
        count = min(TILE, (stop + LANES - 1) // LANES - block)
        first, last = max(start - LANES * block, 0), min(stop - LANES * block, LANES * count)
        position = origin + LANES * block + first - start
        if law == WORDS:
            _words(key0, key1, stream, block, count, words)
            _copy(words[first:last], carray(out, position + last - first, u32)[position:])
        elif dtype[0] == 4 and last - first == LANES * count:  # the values are what is asked for
            values = carray(out, position + last, f32)[position:]
            _values(law, key0, key1, stream, block, count, parameters, words, reals[_TILED:], doubles, values)
        else:
            _values(law, key0, key1, stream, block, count, parameters, words, reals[_TILED:], doubles, reals[:_TILED])
            _store(reals[first:last], dtype, out, position)


def fill(count, runs, parameters, dtypes, words, reals, doubles, out):
    """`count` runs of laws: see `abi.RUN_FIELDS`. There are no more rows of parameters and of dtypes than runs."""
    runs, parameters = carray(runs, (count, RUN_FIELDS)), carray(parameters, (count, PARAMETERS))
    dtypes = carray(dtypes, (count, DTYPE_FIELDS))
    words, reals, doubles = carray(words, SCRATCH), carray(reals, 4 * SCRATCH), carray(doubles, 2 * SCRATCH)
    for i in range(count):
        law, row, start, stop, origin = runs[i, 0], runs[i, 1], runs[i, 6], runs[i, 7], runs[i, 8]
        dtype, key0, key1, stream = dtypes[runs[i, 2]], u64(runs[i, 3]), u64(runs[i, 4]), u64(runs[i, 5])
        if law == CONSTANT:
            _repeat(row, dtype[0], out, origin, stop - start)
        else:
            _fill(law, key0, key1, stream, start, stop, parameters[row], dtype, words, reals, doubles, out, origin)


def encode(values, count, dtype, out):
    """Cast `count` float32 values as `dtype`."""
    _store(carray(values, count), carray(dtype, DTYPE_FIELDS), out, 0)


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


@loop
def _add_row(row, values):
    for i in range(values.size):
        values[i] = row[i] + values[i]


@loop
def _signs(row, column, scale, values):
    """`scale`, negative if the row and the column have an odd number of binary ones in common."""
    for i in range(values.size):
        common = u32(row & u32(column + i))
        common = u32(common ^ u32(common >> u32(16)))
        common = u32(common ^ u32(common >> u32(8)))
        common = u32(common ^ u32(common >> u32(4)))
        common = u32(common ^ u32(common >> u32(2)))
        common = u32(common ^ u32(common >> u32(1)))
        values[i] = u32(scale ^ u32(common << _SIGN_BIT)).view(f32)


@loop
def _row_values(law, row, column, end, parameters, columns, table, words, values):
    """The values of one row from `column` to `end`; a normal law's are there already."""
    if law == ZEROED_NORMAL:
        _zero(words, u64(row), carray(table, end, u64)[column:], values)
    elif law == ROW_PLUS_NORMAL:
        _add_row(carray(table, end, f32)[column:], values)
    elif law == HADAMARD:
        _signs(u32(row), column, f32(parameters[0]).view(u32), values)
    elif law == COUNTED_LOG:
        _counted_logs(parameters[0], column, values)
    else:
        half = columns // 2
        frequencies, middle = carray(table, half, f64), min(max(half, column), end) - column
        _sinusoids(f64(row), frequencies[column:], u64(0), values[:middle])
        _sinusoids(f64(row), frequencies[column + middle - half :], _ONE, values[middle:])


@loop
def _by_rows(law, index, stop, parameters, columns, table, words, values):
    """The values of the elements from `index` to `stop` of a matrix."""
    reached, count = 0, stop - index
    while reached < count:
        row, column = (index + reached) // columns, (index + reached) % columns
        end = min(column + count - reached, columns)
        last = reached + end - column
        _row_values(law, row, column, end, parameters, columns, table, words[reached:last], values[reached:last])
        reached = last


@loop
def _scale(before, scale, values):
    for i in range(values.size):
        values[i] = before[i] * scale


@loop
def _scale_and_add(before, scale, noise, values):
    for i in range(values.size):
        values[i] = before[i] * scale + noise[i]


@loop
def _largest(values):
    """The bits of the largest magnitude: more than those of infinity where one is NaN."""
    found = u32(0)
    for i in range(values.size):
        found = max(found, u32(f32(values[i]).view(u32) & _MAGNITUDE))
    return found


@loop
def _keep(words, p, old, out):
    """Put old elements back unless the uniform number is below `p`."""
    for i in range(words.size):
        fresh, kept = out[i], old[i]
        out[i] = fresh if f32(u32(words[i] >> u32(8))) * _UNIT24 < p else kept


@loop
def _keep_stored(words, p, dtype, old, out, position):
    width, stop = dtype[0], position + words.size
    if width == 4:
        _keep(words, p, carray(old, stop, u32)[position:], carray(out, stop, u32)[position:])
    elif width == 2:
        _keep(words, p, carray(old, stop, u16)[position:], carray(out, stop, u16)[position:])
    else:
        _keep(words, p, carray(old, stop, u8)[position:], carray(out, stop, u8)[position:])


def fill_from(law, key0, key1, stream, start, stop, p, columns, table, dtype, words, reals, doubles, out, largest):
    """As `fill`, one run of a law that takes a `table` besides: numbers of a row of `columns`, or the run's old values.

    `stream` is a second one that the law draws from. `largest` gets the bits of the largest magnitude, if old values
    were computed with: what is no finite number of the dtype is not right then.
    """
    key0, key1, stream = u64(key0), u64(key1), u64(stream)
    p, dtype, largest = carray(p, PARAMETERS), carray(dtype, DTYPE_FIELDS), carray(largest, 1)
    words, reals, doubles = carray(words, SCRATCH), carray(reals, 4 * SCRATCH), carray(doubles, 2 * SCRATCH)
    values, before, rest = reals[:_TILED], reals[_TILED : 2 * _TILED], reals[2 * _TILED :]
    for block in range(start // LANES, (stop + LANES - 1) // LANES, TILE):
        count = min(TILE, (stop + LANES - 1) // LANES - block)
        first, last = max(start - LANES * block, 0), min(stop - LANES * block, LANES * count)
        position, size = LANES * block + first - start, last - first
        if law in (ZEROED_NORMAL, ROW_PLUS_NORMAL, MIXTURE) or (law == AFFINE and p[1] != 0):
            _values(NORMAL, key0, key1, u64(0), block, count, p, words, rest, doubles, values)
        if law in (ZEROED_NORMAL, MIXTURE):
            _words(key0, key1, stream, block, count, words)
        if law == AFFINE:
            _load(table, position, position + size, dtype, before[:size])
            if p[1] != 0:
                _scale_and_add(before[:size], f32(p[2]), values[first:last], rest[first:last])
            else:
                _scale(before[:size], f32(p[2]), rest[first:last])
            largest[0] = max(largest[0], i64(_largest(rest[first:last])))
            _store(rest[first:last], dtype, out, position)
        elif law == MIXTURE:
            _store(values[first:last], dtype, out, position)
            _keep_stored(words[first:last], f32(p[2]), dtype, table, out, position)
        else:
            index = LANES * block + first
            _by_rows(law, index, index + size, p, columns, table, words[first:last], values[first:last])
            _store(values[first:last], dtype, out, position)


@loop
def _sum(values, total):
    for i in range(values.size):
        total = total + f64(values[i])
    return total


@loop
def _sum_of_squares(values, around, total):
    for i in range(values.size):
        difference = f64(values[i]) - around
        total = total + difference * difference
    return total


def added(stored, count, dtype, squares, sums, reals):
    """To the first of `sums` each of `count` elements, or the square of its distance from the second of `sums`."""
    dtype, sums, reals = carray(dtype, DTYPE_FIELDS), carray(sums, 2), carray(reals, 4 * SCRATCH)
    for first in range(0, count, _TILED):
        last = min(first + _TILED, count)
        if dtype[0] == 8:
            numbers = carray(stored, count, f64)[first:last]
            sums[0] = _sum_of_squares(numbers, sums[1], sums[0]) if squares else _sum(numbers, sums[0])
        else:
            values = reals[: last - first]
            _load(stored, first, last, dtype, values)
            sums[0] = _sum_of_squares(values, sums[1], sums[0]) if squares else _sum(values, sums[0])


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


KERNELS = {kernel.__name__: _exported(kernel) for kernel in (fill, fill_from, encode, added, kth_smallest)}
"""Each kernel as a function with the calling convention of C."""
