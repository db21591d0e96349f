"""What changed in a run of elements."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from initctl.stream.engines import Distance, Engine
from initctl.stream.engines.distances import as_doubles

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from initctl.dtypes import DType
    from initctl.tensors import Block

    Bytes = NDArray[np.uint8]

_WIDEST = 8
"""Bytes of NumPy's widest integer."""


class ElementChanges(NamedTuple):
    """How many `elements` changed, the number of the `first` of them in row-major order, and the `distance` between
    both, over all elements.

    An element changed if its bits did. If the dtypes differ, it changed if the number did: NaN equals NaN, and -0
    equals 0.
    """

    elements: int = 0
    first: int | None = None
    distance: Distance = Distance()

    def __add__(self, other: ElementChanges) -> ElementChanges:  # type: ignore[override]
        firsts = [first for first in (self.first, other.first) if first is not None]
        return ElementChanges(self.elements + other.elements, min(firsts, default=None), self.distance + other.distance)


_NONE = ElementChanges()


class Stored(NamedTuple):
    """The bytes of elements of a `dtype`."""

    content: Bytes
    dtype: DType


def changes_of(
    engine: Engine,
    one: Stored,
    other: Stored,
    before: ElementChanges = _NONE,
    *,
    run: int,
    start: int = 0,
    order: Block | None = None,
) -> ElementChanges:
    """`before`, and what changed between as many elements of both. The first element has the number `start`, in the
    order of the tensor, or of the block `order`. Distances are summed over each `run` elements, and then in order.
    """
    numbers, others = one.content.view(one.dtype.numpy), other.content.view(other.dtype.numpy)
    if one.dtype == other.dtype:
        differ = _bits_differ(one.content, other.content, one.dtype.bits // 8)
    else:
        differ = _numbers_differ(as_doubles(numbers, one.dtype), as_doubles(others, other.dtype))
    count, first = int(np.count_nonzero(differ)), before.first
    if count and (first is None or order):
        here = _first(differ, start, order)
        first = here if first is None else min(first, here)
    distances = engine.distances(numbers, one.dtype, others, other.dtype, run)
    return ElementChanges(before.elements + count, first, sum(distances, before.distance))


def _first(differ: NDArray[np.bool_], start: int, order: Block | None) -> int:
    """The number, in row-major order, of the first element that differs."""
    if order is None:
        return start + int(differ.argmax())
    dims = sorted(range(len(order.shape)), key=lambda dim: -order.strides[dim])
    index = np.unravel_index(start + np.flatnonzero(differ), [order.shape[dim] for dim in dims])
    in_tensor = [index[dims.index(dim)] for dim in range(len(dims))]
    return int(np.ravel_multi_index(in_tensor, order.shape).min())


def _bits_differ(one: Bytes, other: Bytes, width: int) -> NDArray[np.bool_]:
    whole = np.dtype(f"u{min(width, _WIDEST)}")
    differ: NDArray[np.bool_] = one.view(whole) != other.view(whole)
    return differ if width <= _WIDEST else differ[::2] | differ[1::2]


def _numbers_differ(one: NDArray[Any], other: NDArray[Any]) -> NDArray[np.bool_]:
    differ: NDArray[np.bool_] = (one != other) & ~(np.isnan(one) & np.isnan(other))
    return differ
