"""Distances between the elements of two tensors."""

from __future__ import annotations

from numba import carray

from initctl.stream.engines import abi
from initctl.stream.engines.abi import TILE
from initctl.stream.engines.kernels.casting import load
from initctl.stream.engines.kernels.compiling import MAGNITUDE, exact, f32, f64, i64, loop, u32, u64
from initctl.stream.philox import LANES

_INFINITE = u32(0x7F800000)
_WHOLE = LANES * TILE
_SIDE_BY_SIDE = _WHOLE // 8
"""Sums that are kept side by side: enough for vectors, few enough for the first-level cache."""


@loop
def _largest(values, others):
    """The bits of the largest magnitude."""
    top = u32(0)
    for i in range(values.size):
        top = max(top, u32(f32(values[i]).view(u32) & MAGNITUDE))
        top = max(top, u32(f32(others[i]).view(u32) & MAGNITUDE))
    return top


@loop
def _clear_unfinished(values, others):
    """Set both values of a pair to 0 if one of them is not finite: then they add nothing. Returns how many pairs."""
    count = 0
    for i in range(values.size):
        one, other = f32(values[i]).view(u32), f32(others[i]).view(u32)
        if max(u32(one & MAGNITUDE), u32(other & MAGNITUDE)) >= _INFINITE:
            values[i] = others[i] = f32(0)
            count += 1
    return count


@exact
def _plus_product(total, one, other):
    """The product of two float32 numbers is exact in float64, so only the sum is rounded."""
    return total + one * other


@loop
def _add_pairs(values, others, sums):
    """Add the terms of eight pairs of numbers, which are far apart in the tile, to each place of `sums`."""
    n = u64(_SIDE_BY_SIDE)
    largest, totals, squares = sums[:n], sums[n : 2 * n], sums[2 * n : 3 * n]
    ones, twos, products = sums[3 * n : 4 * n], sums[4 * n : 5 * n], sums[5 * n : 6 * n]
    for i in range(n):
        top, total, square = largest[i], f64(0), f64(0)
        one, two, product = f64(0), f64(0), f64(0)
        for step in range(8):
            place = i + u64(step * _SIDE_BY_SIDE)
            a, b = f64(values[place]), f64(others[place])
            apart = abs(a - b)
            top = max(top, apart)
            total += apart
            square += apart * apart
            one = _plus_product(one, a, a)
            two = _plus_product(two, b, b)
            product = _plus_product(product, a, b)
        largest[i] = top
        totals[i] += total
        squares[i] += square
        ones[i] += one
        twos[i] += two
        products[i] += product


@loop
def _load_tile(stored, first, last, dtype, values):
    """The elements from index `first` to `last` as float32 numbers, padded with zeros to a whole tile."""
    load(stored, first, dtype, values[: last - first])
    values[last - first :] = f32(0)


@loop
def _distance(one, other, start, stop, dtype, other_dtype, scratch, found):
    """Add the distances between the elements from index `start` to `stop` to `found`."""
    values, others, sums, n = scratch.reals[0], scratch.reals[1], scratch.doubles[0], _SIDE_BY_SIDE
    sums[: 6 * n] = 0.0
    found.finite = i64(stop - start)
    for first in range(start, stop, _WHOLE):
        last = min(first + _WHOLE, stop)
        _load_tile(one, first, last, dtype, values)
        _load_tile(other, first, last, other_dtype, others)
        if _largest(values, others) >= _INFINITE:
            found.finite -= _clear_unfinished(values, others)
        _add_pairs(values, others, sums)
    for i in range(n):
        found.largest = max(found.largest, sums[i])
        found.total += sums[n + i]
        found.squares += sums[2 * n + i]
        found.one += sums[3 * n + i]
        found.other += sums[4 * n + i]
        found.products += sums[5 * n + i]


def distances(one, other, count, run, dtype, other_dtype, scratch, found):
    """The distances between `count` elements of both, of at most 32 bits: see `abi.DISTANCE`. `found` has an entry for
    each `run` of elements, and one for the rest.
    """
    dtype, other_dtype = carray(dtype, 1, abi.DTYPE)[0], carray(other_dtype, 1, abi.DTYPE)[0]
    scratch, found = carray(scratch, 1, abi.SCRATCH)[0], carray(found, (count + run - 1) // run, abi.DISTANCE)
    for number in range(found.size):
        start = number * run
        _distance(one, other, start, min(start + run, count), dtype, other_dtype, scratch, found[number])
