"""What changed in a run of elements."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from initctl.stream.engines import Distance
from initctl.stream.engines.distances import as_doubles

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from initctl.dtypes import DType
    from initctl.stream.engines import Engine

    Bytes = NDArray[np.uint8]

_WIDEST = 8
"""Bytes of the widest whole number that NumPy has."""


class Changes(NamedTuple):
    """How many `elements` changed, the number of the `first` of them in row-major order, and the `distance` between
    what was and what is, of all elements.

    An element changed if its bits did. Of different dtypes, it changed if the number did: then NaN is NaN, and -0 is 0.
    """

    elements: int = 0
    first: int | None = None
    distance: Distance = Distance()

    def __add__(self, other: Changes) -> Changes:  # type: ignore[override]
        firsts = [first for first in (self.first, other.first) if first is not None]
        return Changes(self.elements + other.elements, min(firsts, default=None), self.distance + other.distance)


def changes_of(engine: Engine, start: int, one: Bytes, dtype: DType, other: Bytes, other_dtype: DType) -> Changes:
    """Between the bytes of elements of one dtype, and of as many of the other, from number `start` on."""
    numbers, others = one.view(dtype.numpy), other.view(other_dtype.numpy)
    if dtype == other_dtype:
        differ = _bits_differ(one, other, dtype.bits // 8)
    else:
        differ = _numbers_differ(as_doubles(numbers, dtype), as_doubles(others, other_dtype))
    count = int(np.count_nonzero(differ))
    first = start + int(differ.argmax()) if count else None
    return Changes(count, first, engine.distance(numbers, dtype, others, other_dtype))


def _bits_differ(one: Bytes, other: Bytes, width: int) -> NDArray[np.bool_]:
    whole = np.dtype(f"u{min(width, _WIDEST)}")
    differ: NDArray[np.bool_] = one.view(whole) != other.view(whole)
    return differ if width <= _WIDEST else differ[::2] | differ[1::2]


def _numbers_differ(one: NDArray[Any], other: NDArray[Any]) -> NDArray[np.bool_]:
    differ: NDArray[np.bool_] = (one != other) & ~(np.isnan(one) & np.isnan(other))
    return differ
