"""Sums of stored elements in their order."""

from __future__ import annotations

from numba import carray

from initctl.stream.engines import abi
from initctl.stream.engines.abi import TILE
from initctl.stream.engines.kernels.casting import load
from initctl.stream.engines.kernels.compiling import f64, loop
from initctl.stream.philox import LANES


@loop
def _sum(values, around, total):
    """`total` plus the squared distances from `around`; if `around` is NaN, plus the values themselves."""
    is_plain = around != around
    for i in range(values.size):
        value = f64(values[i])
        total = total + (value if is_plain else (value - around) * (value - around))
    return total


def added(stored, count, dtype, sums, scratch):
    """Add `count` elements to the first of `sums`; unless the second is NaN, add their squared distances from it."""
    dtype, sums, scratch = carray(dtype, 1, abi.DTYPE)[0], carray(sums, 2, f64), carray(scratch, 1, abi.SCRATCH)[0]
    for first in range(0, count, LANES * TILE):
        last = min(first + LANES * TILE, count)
        if dtype.width == 8:
            sums[0] = _sum(carray(stored, last, f64)[first:], sums[1], sums[0])
        else:
            values = scratch.reals[0][: last - first]
            load(stored, first, dtype, values)
            sums[0] = _sum(values, sums[1], sums[0])
