"""Whether the rectangles that a tensor was cut into cover it exactly: each element belongs to one of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import TYPE_CHECKING

from initctl.tensors import LARGEST_SIZE, Shape

if TYPE_CHECKING:
    Rectangle = tuple[Shape, Shape]
    """The index of the first element of a part, and its shape."""

_MOST_CELLS = 10_000_000
"""The most cells that the edges of all rectangles may cut a tensor into."""
_CELLS_A_STEP = 50
"""How many cells count as one step; a look at an entry is also one step."""


def tiling_fault(shape: Shape, parts: Sequence[Rectangle], spend: Callable[[int], None], *, called: str) -> str | None:
    """None if `parts` cover a tensor of `shape` exactly; otherwise the fault. Messages call a part `called`.

    The edges of all parts cut the tensor into cells, and each cell must belong to one part. `spend` counts the steps of
    this check, and may raise.
    """
    if prod(shape) >= LARGEST_SIZE:
        return "has more elements than is possible"
    if any(not len(shape) == len(start) == len(sizes) for start, sizes in parts):
        return f"a {called} has a different number of dimensions"
    untiled = f"its {called}s leave gaps, overlap, or reach outside of it"
    if sum(prod(sizes) for _, sizes in parts) != prod(shape):
        return untiled
    edges = _edges(shape, parts)
    cells = prod(len(found) - 1 for found in edges)
    if cells > _MOST_CELLS:
        return f"has more {called}s than can be checked"
    spend(cells // _CELLS_A_STEP)
    inside = all(found[-1] == size for found, size in zip(edges, shape, strict=True))
    return None if inside and _are_disjoint(edges, parts) else untiled


def _edges(shape: Shape, parts: Sequence[Rectangle]) -> list[list[int]]:
    """For each dimension, the sorted indices at which a part begins or ends."""
    edges = [{0, size} for size in shape]
    for part in parts:
        for dim, (start, size) in enumerate(zip(*part, strict=True)):
            edges[dim] |= {start, start + size}
    return [sorted(found) for found in edges]


def _are_disjoint(edges: Sequence[Sequence[int]], parts: Sequence[Rectangle]) -> bool:
    """Whether each cell belongs to one part."""
    import numpy as np

    numbers = [{edge: number for number, edge in enumerate(found)} for found in edges]
    owned = np.zeros([len(found) - 1 for found in edges], np.int32)
    for part in parts:
        corners = zip(numbers, *part, strict=True)
        owned[tuple(slice(of[start], of[start + size]) for of, start, size in corners)] += 1
    return bool((owned == 1).all())
