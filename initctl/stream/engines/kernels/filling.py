"""Value stream v1 from words to bytes, tile by tile. The formulas are those of the reference."""

from __future__ import annotations

from numba import carray

from initctl.stream import elementary64
from initctl.stream.engines import abi
from initctl.stream.engines.abi import TILE
from initctl.stream.engines.kernels.casting import copy, load, store
from initctl.stream.engines.kernels.compiling import (
    MAGNITUDE,
    SIGN_BIT,
    cipher,
    doubles,
    each,
    f32,
    f64,
    i64,
    loop,
    reals,
    u8,
    u16,
    u32,
    u64,
)
from initctl.stream.philox import LANES

_HALF = u64(32)
_ONE, _TWO, _THREE, _FOUR = map(u64, range(1, 5))  # an unsigned index cannot count from the end, which saves a check


@loop
def _words(run, stream, block, words):
    """The words of the blocks from `block` on."""
    key0, key1 = run.key0, run.key1
    for i in range(u64(words.size) // _FOUR):
        c0, c1, c2, c3 = cipher.lanes(key0, key1, u64(block) + i, u64(stream))
        words[_FOUR * i], words[_FOUR * i + _ONE] = u32(c0), u32(c1)
        words[_FOUR * i + _TWO], words[_FOUR * i + _THREE] = u32(c2), u32(c3)


@loop
def _word_pairs(run, stream, block, evens, odds):
    """The words of the blocks from `block` on, separately for even and odd lanes."""
    key0, key1 = run.key0, run.key1
    for i in range(u64(evens.size) // _TWO):
        c0, c1, c2, c3 = cipher.lanes(key0, key1, u64(block) + i, u64(stream))
        evens[_TWO * i], evens[_TWO * i + _ONE] = u32(c0), u32(c2)
        odds[_TWO * i], odds[_TWO * i + _ONE] = u32(c1), u32(c3)


_radii, _outer_quantiles = map(each, (reals.radius, reals.outer_quantile))
_one_minus_exponentials, _near_one_minus_exponentials = map(
    each, (doubles.one_minus_exponential, doubles.near_one_minus_exponential)
)


@loop
def _normals(words, radii, mean, std, values):
    """Two normal values from each pair of a radius and a word for the angle."""
    for i in range(u64(words.size)):
        sine, cosine = reals.sin_cos(words[i])
        values[_TWO * i] = mean + std * (radii[i] * cosine)
        values[_TWO * i + _ONE] = mean + std * (radii[i] * sine)


@loop
def _uniforms(words, a, spread, values):
    for i in range(values.size):
        values[i] = a + spread * reals.uniform01(words[i])


@loop
def _probabilities(words, low, high, is_above, centred, tails):
    for i in range(words.size):
        centred[i], tails[i] = reals.centred_and_tail(words[i], low, high, is_above)


@loop
def _truncated_normals(centred, outer, p, values):
    mean, std, a, b, sign = f32(p[0]), f32(p[1]), f32(p[2]), f32(p[3]), f32(p[6])
    for i in range(values.size):
        values[i] = reals.clipped(mean + std * (sign * reals.inner_or(centred[i], outer[i])), a, b)


@loop
def _log_uniforms(words, p, values):
    """e^u for u uniform from one logarithm to another, clipped to an interval."""
    low, spread, a, b = p[0], p[1], p[2], p[3]
    for i in range(values.size):
        values[i] = reals.clipped(doubles.exponential(low + spread * reals.fraction01(words[i])), a, b)


@loop
def _clipped(numbers, a, b, values):
    for i in range(values.size):
        values[i] = reals.clipped(f32(numbers[i]), a, b)


@loop
def _plus_logs(x, y, values):
    for i in range(values.size):
        values[i] = x[i] + doubles.natural_log(y[i])


@loop
def _sinusoids(row, frequencies, first, half, values):
    """Sines for channels below `half`, cosines from there on."""
    for i in range(values.size):
        sine, cosine = doubles.sin_cos(row * frequencies[i])
        values[i] = sine if first + i < half else cosine


@loop
def _counted_logs(start, column, values):
    for i in range(values.size):
        values[i] = doubles.natural_log(start + f64(column + i))


@loop
def _values(run, form, block, scratch, values):
    """The values of the blocks from `block` on. No loop reads the array that it writes, since this would be slow."""
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
        copy(words, values.view(u32))
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
    """`scale`, negative if the row and the column share an odd number of binary ones."""
    for i in range(values.size):
        common = u32(row & u32(column + i))
        common = u32(common ^ u32(common >> u32(16)))
        common = u32(common ^ u32(common >> u32(8)))
        common = u32(common ^ u32(common >> u32(4)))
        common = u32(common ^ u32(common >> u32(2)))
        common = u32(common ^ u32(common >> u32(1)))
        values[i] = u32(scale ^ u32(common << SIGN_BIT)).view(f32)


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
    """The bits of the largest magnitude: larger than those of infinity if one is NaN."""
    found = u32(0)
    for i in range(values.size):
        found = max(found, u32(f32(values[i]).view(u32) & MAGNITUDE))
    return found


@loop
def _change(form, table, index, offset, scratch, first, last):
    """Change the values from `first` to `last`: elements from `index`, at `offset` in the run."""
    words, values = scratch.words[first:last], scratch.reals[0][first:last]
    if form.then == abi.GIVEN:
        copy(carray(table, offset + values.size, f32)[offset:], values)
    elif form.then == abi.AFFINE:
        before = scratch.reals[4][: last - first]
        load(table, offset, form.dtype, before)
        _affine(before, f32(form.numbers[2]), form.law == abi.NORMAL, values)
        scratch.is_beyond |= i64(_largest(values)) > form.dtype.reach
    elif form.then != abi.MIXTURE:
        _by_rows(form, table, index, words, values)


@loop
def _keep(words, p, old, out):
    """Put old elements back unless the uniform number is below `p`."""
    for i in range(words.size):
        fresh, kept = out[i], old[i]
        out[i] = fresh if reals.uniform01(words[i]) < p else kept


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
        if form.dtype.width == 4 and form.then == abi.KEPT and last - first == end:  # write values directly
            _values(run, form, block, scratch, carray(out, place + end, f32)[place:])
            continue
        _values(run, form, block, scratch, values[:end])
        if form.then in (abi.ZEROED, abi.MIXTURE):
            _words(run, form.second_stream, block, scratch.words[:end])
        if form.then != abi.KEPT:
            _change(form, table, LANES * block + first, offset, scratch, first, last)
        store(values[first:last], form.dtype, out, place)
        if form.then == abi.MIXTURE:
            _keep_stored(scratch.words[first:last], f32(form.numbers[2]), form.dtype, table, offset, out, place)


def fill(count, runs, forms, tables, scratch, out):
    """Write `count` runs of laws: see `abi.RUN`. There are at most as many forms as runs, and a table for each form."""
    runs, forms, scratch = carray(runs, count, abi.RUN), carray(forms, count, abi.FORM), carray(scratch, 1, abi.SCRATCH)
    for i in range(count):
        run = runs[i]
        form = forms[run.form]
        if form.law == abi.CONSTANT:
            _repeat(form.pattern, form.dtype.width, out, run.place, run.stop - run.start)
        else:
            _fill(run, form, tables[run.form], scratch[0], out)
