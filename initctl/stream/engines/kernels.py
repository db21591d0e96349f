"""The compiled engine's loops, written for Numba: value stream v1 from words to bytes, tile by tile.

Imported only where object code has to be made anew (see `object_code`). The formulas are the reference's own.

What makes them fast is that each loop is short and does one thing to a tile that fits the cache, so that the compiler
turns it into vector instructions: words, then radius, then angle, then cast. Merged into one they run five times
slower. What keeps the bits equal is that nothing is fused: no fastmath, and every step is cast back to 32 bits, since
Numba computes small integers in 64.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numba import carray, cfunc, njit, types

from initctl.stream import elementary, elementary64, philox
from initctl.stream.elementary import rebuilt
from initctl.stream.engines import abi
from initctl.stream.engines.abi import TILE

if TYPE_CHECKING:
    from collections.abc import Callable

    from numba.core.ccallback import CFunc

f32, f64, i32, i64 = np.float32, np.float64, np.int32, np.int64
u8, u16, u32, u64 = np.uint8, np.uint16, np.uint32, np.uint64

LANES = philox.LANES
_HALF = u64(32)
_ONE, _TWO, _THREE, _FOUR = map(u64, range(1, 5))  # an unsigned index cannot count from the end: one check less

_MANTISSA_BITS = int(elementary.MANTISSA_BITS)
_MANTISSA_BITS64 = i64(52)
_SQRT_HALF_BITS64 = f64(elementary64.SQRT_HALF).view(i64)
_MAGNITUDE, _SIGN_BIT, _NAN = u32(0x7FFFFFFF), u32(31), u32(0x7FC00000)

_ALONE = {"error_model": "numpy", "no_cpython_wrapper": True, "no_cfunc_wrapper": True}  # Python calls the kernels only
loop = njit(**_ALONE)
inlined = njit(**_ALONE, forceinline=True)  # a call would keep the loop around it from becoming vectors


@inlined
def _where(condition, one, other):
    return one if condition else other


@inlined
def _log_parts(x):
    """As the reference's, for normal numbers."""
    bits = f64(x).view(i64)
    power = i64(bits - _SQRT_HALF_BITS64) >> _MANTISSA_BITS64
    return i64(bits - (power << _MANTISSA_BITS64)).view(f64) - 1.0, f64(i32(power))


_cipher = rebuilt(philox, {}, by=inlined)
_reals = rebuilt(elementary, {"where": _where}, by=inlined)
_doubles = rebuilt(elementary64, {"where": _where, "log_parts": _log_parts}, by=inlined)


@loop
def _words(run, stream, block, words):
    """The words of the blocks from number `block`."""
    key0, key1 = run.key0, run.key1
    for i in range(u64(words.size) // _FOUR):
        c0, c1, c2, c3 = _cipher.lanes(key0, key1, u64(block) + i, u64(stream))
        words[_FOUR * i], words[_FOUR * i + _ONE] = u32(c0), u32(c1)
        words[_FOUR * i + _TWO], words[_FOUR * i + _THREE] = u32(c2), u32(c3)


@loop
def _word_pairs(run, stream, block, evens, odds):
    """The words of the blocks from number `block`, those of even lanes and those of odd lanes."""
    key0, key1 = run.key0, run.key1
    for i in range(u64(evens.size) // _TWO):
        c0, c1, c2, c3 = _cipher.lanes(key0, key1, u64(block) + i, u64(stream))
        evens[_TWO * i], evens[_TWO * i + _ONE] = u32(c0), u32(c2)
        odds[_TWO * i], odds[_TWO * i + _ONE] = u32(c1), u32(c3)


def _each(formula):
    """A loop that computes each of `out` by `formula` from one number of `given`."""

    @loop
    def over(given, out):
        for i in range(out.size):
            out[i] = formula(given[i])

    return over


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


_copy, _to_bfloat16s, _from_bfloat16s = map(_each, (_itself, _bfloat16, _from_bfloat16))
_radii, _outer_quantiles = map(_each, (_reals.radius, _reals.outer_quantile))
_one_minus_exponentials, _near_one_minus_exponentials = map(
    _each, (_doubles.one_minus_exponential, _doubles.near_one_minus_exponential)
)


@loop
def _normals(words, radii, mean, std, values):
    """Two normal values from each pair: the radius, and the angle in the second word."""
    for i in range(u64(words.size)):
        sine, cosine = _reals.sin_cos(words[i])
        values[_TWO * i] = mean + std * (radii[i] * cosine)
        values[_TWO * i + _ONE] = mean + std * (radii[i] * sine)


@loop
def _uniforms(words, a, spread, values):
    for i in range(values.size):
        values[i] = a + spread * _reals.uniform01(words[i])


@loop
def _probabilities(words, low, high, is_above, centred, tails):
    for i in range(words.size):
        centred[i], tails[i] = _reals.centred_and_tail(words[i], low, high, is_above)


@loop
def _truncated_normals(centred, outer, p, values):
    mean, std, a, b, sign = f32(p[0]), f32(p[1]), f32(p[2]), f32(p[3]), f32(p[6])
    for i in range(values.size):
        values[i] = _reals.clipped(mean + std * (sign * _reals.inner_or(centred[i], outer[i])), a, b)


@loop
def _log_uniforms(words, p, values):
    """e^u of a u that is uniform from one logarithm to another, kept in an interval."""
    low, spread, a, b = p[0], p[1], p[2], p[3]
    for i in range(values.size):
        values[i] = _reals.clipped(_doubles.exponential(low + spread * _reals.fraction01(words[i])), a, b)


@loop
def _clipped(numbers, a, b, values):
    for i in range(values.size):
        values[i] = _reals.clipped(f32(numbers[i]), a, b)


@loop
def _plus_logs(x, y, values):
    for i in range(values.size):
        values[i] = x[i] + _doubles.natural_log(y[i])


@loop
def _sinusoids(row, frequencies, first, half, values):
    """Sines, from channel number `half` on cosines."""
    for i in range(values.size):
        sine, cosine = _doubles.sin_cos(row * frequencies[i])
        values[i] = sine if first + i < half else cosine


@loop
def _counted_logs(start, column, values):
    for i in range(values.size):
        values[i] = _doubles.natural_log(start + f64(column + i))


@loop
def _narrow(values, dtype, out):
    """Round to nearest even, to a float of fewer bits: see `abi.DTYPE`."""
    mantissa, bias = dtype.mantissa, dtype.bias
    largest, overflow, has_minus_zero = u32(dtype.largest), u32(dtype.overflow), u32(dtype.minus_zero)
    shift = u32(_MANTISSA_BITS - mantissa)
    below_half = u32((1 << (_MANTISSA_BITS - mantissa - 1)) - 1)
    rebias = u32((127 - bias) << mantissa)
    smallest_normal = u32((128 - bias) << _MANTISSA_BITS)
    unit_bits = u32((128 - bias - mantissa + _MANTISSA_BITS) << _MANTISSA_BITS)
    unit = u32(unit_bits).view(f32)  # added to a small number, it rounds it to a whole number of the least steps
    sign_bit = u32(8 * dtype.width - 1)
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
def _store(values, dtype, out, place):
    """Cast `values` to the elements of `out` from number `place`."""
    width, stop = dtype.width, place + values.size
    if width == 4:
        _copy(values, carray(out, stop, f32)[place:])
    elif width == 8:
        _copy(values, carray(out, stop, f64)[place:])
    elif width == 2 and dtype.bias == 127:
        _to_bfloat16s(values, carray(out, stop, u16)[place:])
    elif width == 2:
        _narrow(values, dtype, carray(out, stop, u16)[place:])
    else:
        _narrow(values, dtype, carray(out, stop, u8)[place:])


@loop
def _widen(codes, dtype, values):
    """Exactly to float32, a float of fewer bits; what is not finite becomes NaN."""
    mantissa, bias = dtype.mantissa, dtype.bias
    largest, has_minus_zero = u32(dtype.largest), u32(dtype.minus_zero)
    shift, sign_shift = u32(_MANTISSA_BITS - mantissa), u32(32 - 8 * dtype.width)
    sign_bit = u32(u32(1) << u32(8 * dtype.width - 1))
    unit = u32((254 - bias) << _MANTISSA_BITS).view(f32)
    for i in range(codes.size):
        code = u32(codes[i])
        magnitude = u32(code & u32(sign_bit - u32(1)))
        size = f32(u32(magnitude << shift).view(f32) * unit).view(u32)
        is_number = magnitude <= largest and (has_minus_zero != u32(0) or code != sign_bit)
        sign = u32(u32(code & sign_bit) << sign_shift)
        values[i] = u32(size | sign if is_number else _NAN).view(f32)


@loop
def _load(stored, place, dtype, values):
    """The elements of `stored` from number `place`, as float32 numbers."""
    width, stop = dtype.width, place + values.size
    if width == 4:
        _copy(carray(stored, stop, f32)[place:], values)
    elif width == 2 and dtype.bias == 127:
        _from_bfloat16s(carray(stored, stop, u16)[place:], values)
    elif width == 2:
        _widen(carray(stored, stop, u16)[place:], dtype, values)
    else:
        _widen(carray(stored, stop, u8)[place:], dtype, values)


@loop
def _values(run, form, block, scratch, values):
    """The values of the blocks from number `block`. No loop reads what it writes: that one would be slow."""
    length, p = values.size, form.numbers
    words, one, two, three = scratch.words[:length], scratch.reals[1], scratch.reals[2], scratch.reals[3]
    numbers, others = scratch.doubles[0][:length], scratch.doubles[1][:length]
    if form.law == abi.NORMAL:
        evens, odds, radii = words[: length // 2], words[length // 2 :], one[: length // 2]
        _word_pairs(run, form.stream, block, evens, odds)
        _radii(evens, radii)
        _normals(odds, radii, f32(p[0]), f32(p[1]), values)
        return
    if form.law != abi.UNDRAWN:
        _words(run, form.stream, block, words)
    if form.law == abi.WORDS:
        _copy(words, values.view(u32))
    elif form.law == abi.UNIFORM:
        _uniforms(words, f32(p[0]), f32(p[1]), values)
    elif form.law == abi.LOG_UNIFORM:
        _log_uniforms(words, p, numbers)
        _clipped(numbers, f32(p[4]), f32(p[5]), values)
    elif form.law == abi.INVERSE_SOFTPLUS:
        _log_uniforms(words, p, numbers)
        if p[3] < elementary64.NEAR_0:
            _near_one_minus_exponentials(numbers, others)
        else:
            _one_minus_exponentials(numbers, others)
        _plus_logs(numbers, others, values)
    elif form.law == abi.TRUNC_NORMAL:
        centred, tails, outer = one[:length], two[:length], three[:length]
        _probabilities(words, p[4], p[5], p[6] < 0, centred, tails)
        _outer_quantiles(tails, outer)
        _truncated_normals(centred, outer, p, values)


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
def _row(form, table, row, column, words, values):
    """The values of one row from `column` on."""
    end = column + values.size
    if form.then == abi.ZEROED:
        _zero(words, u64(row), carray(table, end, u64)[column:], values)
    elif form.then == abi.ROW_ADDED:
        _add_row(carray(table, end, f32)[column:], values)
    elif form.then == abi.HADAMARD:
        _signs(u32(row), column, f32(form.numbers[0]).view(u32), values)
    elif form.then == abi.COUNTED_LOG:
        _counted_logs(form.numbers[0], column, values)
    else:
        _sinusoids(f64(row), carray(table, end, f64)[column:], column, form.columns // 2, values)


@loop
def _by_rows(form, table, index, words, values):
    """The values of the elements of a matrix from `index` on."""
    reached, columns = 0, form.columns
    while reached < values.size:
        row, column = (index + reached) // columns, (index + reached) % columns
        last = min(reached + columns - column, values.size)
        _row(form, table, row, column, words[reached:last], values[reached:last])
        reached = last


@loop
def _affine(before, scale, is_noisy, values):
    for i in range(values.size):
        values[i] = before[i] * scale + (values[i] if is_noisy else f32(-0.0))


@loop
def _largest(values):
    """The bits of the largest magnitude: more than those of infinity where one is NaN."""
    found = u32(0)
    for i in range(values.size):
        found = max(found, u32(f32(values[i]).view(u32) & _MAGNITUDE))
    return found


@loop
def _change(form, table, index, offset, scratch, first, last):
    """What becomes of the values from number `first` to `last`: elements from `index`, number `offset` in the run."""
    words, values = scratch.words[first:last], scratch.reals[0][first:last]
    if form.then == abi.GIVEN:
        _copy(carray(table, offset + values.size, f32)[offset:], values)
    elif form.then == abi.AFFINE:
        before = scratch.reals[4][: last - first]
        _load(table, offset, form.dtype, before)
        _affine(before, f32(form.numbers[2]), form.law == abi.NORMAL, values)
        scratch.is_beyond |= i64(_largest(values)) > form.dtype.reach
    elif form.then != abi.MIXTURE:
        _by_rows(form, table, index, words, values)


@loop
def _keep(words, p, old, out):
    """Put old elements back unless the uniform number is below `p`."""
    for i in range(words.size):
        fresh, kept = out[i], old[i]
        out[i] = fresh if _reals.uniform01(words[i]) < p else kept


@loop
def _keep_stored(words, p, dtype, old, offset, out, place):
    width, end, stop = dtype.width, offset + words.size, place + words.size
    if width == 4:
        _keep(words, p, carray(old, end, u32)[offset:], carray(out, stop, u32)[place:])
    elif width == 2:
        _keep(words, p, carray(old, end, u16)[offset:], carray(out, stop, u16)[place:])
    else:
        _keep(words, p, carray(old, end, u8)[offset:], carray(out, stop, u8)[place:])


@loop
def _repeat(pattern, width, out, place, count):
    """`count` elements of `width` bytes, all with the bits of `pattern`, in `out` from `place`."""
    stop = place + count
    if width == 8:
        carray(out, stop, u64)[place:] = u64(pattern)
    elif width == 4:
        carray(out, stop, u32)[place:] = u32(pattern)
    elif width == 2:
        carray(out, stop, u16)[place:] = u16(pattern)
    else:
        carray(out, stop, u8)[place:] = u8(pattern)


@loop
def _fill(run, form, table, scratch, out):
    """The elements of `run`, each cast to the dtype of `form`."""
    start, stop, values = run.start, run.stop, scratch.reals[0]
    for block in range(start // LANES, (stop + LANES - 1) // LANES, TILE):
        end = min(TILE, (stop + LANES - 1) // LANES - block) * LANES
        first, last = max(start - LANES * block, 0), min(stop - LANES * block, end)
        offset = LANES * block + first - start
        place = run.place + offset
        if form.dtype.width == 4 and form.then == abi.KEPT and last - first == end:  # the values are what is asked for
            _values(run, form, block, scratch, carray(out, place + end, f32)[place:])
            continue
        _values(run, form, block, scratch, values[:end])
        if form.then in (abi.ZEROED, abi.MIXTURE):
            _words(run, form.second_stream, block, scratch.words[:end])
        if form.then != abi.KEPT:
            _change(form, table, LANES * block + first, offset, scratch, first, last)
        _store(values[first:last], form.dtype, out, place)
        if form.then == abi.MIXTURE:
            _keep_stored(scratch.words[first:last], f32(form.numbers[2]), form.dtype, table, offset, out, place)


def fill(count, runs, forms, tables, scratch, out):
    """`count` runs of laws: see `abi.RUN`. There are no more forms than runs, and a table for each form."""
    runs, forms, scratch = carray(runs, count, abi.RUN), carray(forms, count, abi.FORM), carray(scratch, 1, abi.SCRATCH)
    for i in range(count):
        run = runs[i]
        form = forms[run.form]
        if form.law == abi.CONSTANT:
            _repeat(form.pattern, form.dtype.width, out, run.place, run.stop - run.start)
        else:
            _fill(run, form, tables[run.form], scratch[0], out)


@loop
def _column(key0, key1, stream, columns, column, words):
    """The words of one column of a matrix."""
    for row in range(words.size):
        index = u64(row) * u64(columns) + u64(column)
        c0, c1, c2, c3 = _cipher.lanes(key0, key1, index >> _TWO, stream)
        lane = index & u64(3)
        lower, upper = (c0 if lane == u64(0) else c1), (c2 if lane == u64(2) else c3)
        words[row] = u32(lower if lane < u64(2) else upper)


@loop
def _four_columns(key0, key1, stream, columns, column, words):
    """The same for four that a block's lanes are, in a matrix of four times as many."""
    for row in range(words.shape[1]):
        index = u64(row) * u64(columns) + u64(column)
        c0, c1, c2, c3 = _cipher.lanes(key0, key1, index >> _TWO, stream)
        words[0, row], words[1, row], words[2, row], words[3, row] = u32(c0), u32(c1), u32(c2), u32(c3)


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
    words, found = carray(words, (LANES, rows), u32), carray(out, last - first, u64)
    if columns % LANES == 0 and first % LANES == 0:
        for column in range(first, last, LANES):
            _four_columns(key0, key1, stream, columns, column, words)
            for lane in range(LANES):
                found[column - first + lane] = _kth(words[lane], k)
    else:
        for column in range(first, last):
            _column(key0, key1, stream, columns, column, words[0])
            found[column - first] = _kth(words[0], k)


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
            _load(stored, first, dtype, values)
            sums[0] = _sum(values, sums[1], sums[0])


_C_TYPES = {"i": types.int64, "p": types.voidptr, "t": types.CPointer(types.voidptr)}


def _exported(kernel: Callable[..., None]) -> CFunc:
    types_of = map(_C_TYPES.__getitem__, abi.SIGNATURES[kernel.__name__])
    function: CFunc = cfunc(types.void(*types_of), nopython=True, error_model="numpy")(kernel)
    return function


KERNELS = {kernel.__name__: _exported(kernel) for kernel in (fill, added, kth_smallest)}
"""Each kernel as a function with the calling convention of C."""
