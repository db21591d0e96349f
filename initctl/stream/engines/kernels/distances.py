"""How far apart the elements of two tensors are."""

from __future__ import annotations

from numba import carray

from initctl.stream.engines import abi
from initctl.stream.engines.abi import TILE
from initctl.stream.engines.kernels.casting import load
from initctl.stream.engines.kernels.compiling import MAGNITUDE, f32, f64, i64, loop, u32, u64
from initctl.stream.philox import LANES

_INFINITE = u32(0x7F800000)
_WHOLE = LANES * TILE
_SIDE_BY_SIDE = _WHOLE // 8
"""Sums that are kept side by side: enough for vectors, few enough for the first cache."""


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
    """Make both 0 if one of them is not finite: then they add nothing. Returns how many were."""
    count = 0
    for i in range(values.size):
        one, other = f32(values[i]).view(u32), f32(others[i]).view(u32)
        if max(u32(one & MAGNITUDE), u32(other & MAGNITUDE)) >= _INFINITE:
            values[i] = others[i] = f32(0)
            count += 1
    return count


@loop
def _add_distances(values, others, largest, totals, squares):
    """To each place the distances of eight pairs of numbers, which are far apart in the tile."""
    for i in range(u64(_SIDE_BY_SIDE)):
        top, total, square = largest[i], f64(0), f64(0)
        for step in range(8):
            place = i + u64(step * _SIDE_BY_SIDE)
            apart = abs(f64(values[place]) - f64(others[place]))
            top = max(top, apart)
            total += apart
            square += apart * apart
        largest[i] = top
        totals[i] += total
        squares[i] += square


@loop
def _add_products(values, others, ones, twos, products):
    """To each place the squares and the products of the same pairs."""
    for i in range(u64(_SIDE_BY_SIDE)):
        one, two, product = f64(0), f64(0), f64(0)
        for step in range(8):
            place = i + u64(step * _SIDE_BY_SIDE)
            a, b = f64(values[place]), f64(others[place])
            one += a * a
            two += b * b
            product += a * b
        ones[i] += one
        twos[i] += two
        products[i] += product


@loop
def _load_tile(stored, first, last, dtype, values):
    """The elements from number `first` to `last` as float32 numbers, and zeros up to a whole tile."""
    load(stored, first, dtype, values[: last - first])
    values[last - first :] = f32(0)


def distance(one, other, count, dtype, other_dtype, scratch, found):
    """How far apart `count` elements of at most 32 bits of either are: see `abi.DISTANCE`."""
    dtype, other_dtype = carray(dtype, 1, abi.DTYPE)[0], carray(other_dtype, 1, abi.DTYPE)[0]
    scratch, found = carray(scratch, 1, abi.SCRATCH)[0], carray(found, 1, abi.DISTANCE)[0]
    values, others, sums = scratch.reals[0], scratch.reals[1], scratch.doubles[0]
    n = _SIDE_BY_SIDE
    largest, totals, squares = sums[:n], sums[n : 2 * n], sums[2 * n : 3 * n]
    ones, twos, products = sums[3 * n : 4 * n], sums[4 * n : 5 * n], sums[5 * n : 6 * n]
    sums[: 6 * n] = 0.0
    found.finite = i64(count)
    for first in range(0, count, _WHOLE):
        last = min(first + _WHOLE, count)
        _load_tile(one, first, last, dtype, values)
        _load_tile(other, first, last, other_dtype, others)
        if _largest(values, others) >= _INFINITE:
            found.finite -= _clear_unfinished(values, others)
        _add_distances(values, others, largest, totals, squares)
        _add_products(values, others, ones, twos, products)
    for i in range(n):
        found.largest = max(found.largest, largest[i])
        found.total += totals[i]
        found.squares += squares[i]
        found.one += ones[i]
        found.other += twos[i]
        found.products += products[i]
