"""Whether the rectangles that a tensor was cut into make it up: each element belongs to one of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import TYPE_CHECKING

from initctl.tensors import LARGEST_SIZE, Shape

if TYPE_CHECKING:
    Rectangle = tuple[Shape, Shape]
    """The index of the first element of a part, and how many there are along each dim."""

_MOST_CELLS = 10_000_000
"""Parts that the edges of all rectangles cut a tensor into, at most."""
_CELLS_A_STEP = 50
"""Cells that take as long as a look at an entry."""


def tiling_fault(shape: Shape, parts: Sequence[Rectangle], spend: Callable[[int], None], *, called: str) -> str | None:
    """What is wrong with `parts` of a tensor of `shape`, if anything is; messages call one of them `called`.

    The edges of all parts cut the tensor into cells, and each cell must belong to one part. `spend` counts the steps
    that this takes, and may raise.
    """
    if prod(shape) >= LARGEST_SIZE:
        return "holds more elements than there can be"
    if any(not len(shape) == len(start) == len(sizes) for start, sizes in parts):
        return f"a {called} has other dims than the tensor"
    untiled = f"its {called}s leave gaps, overlap, or are outside of it"
    if sum(prod(sizes) for _, sizes in parts) != prod(shape):
        return untiled
    edges = _edges(shape, parts)
    cells = prod(len(found) - 1 for found in edges)
    if cells > _MOST_CELLS:
        return f"is cut into more {called}s than can be checked"
    spend(cells // _CELLS_A_STEP)
    inside = all(found[-1] == size for found, size in zip(edges, shape, strict=True))
    return None if inside and _are_disjoint(edges, parts) else untiled


def _edges(shape: Shape, parts: Sequence[Rectangle]) -> list[list[int]]:
    """For each dim, the indexes at which a part begins or ends, in order."""
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
