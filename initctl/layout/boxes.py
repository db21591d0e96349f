"""Elements that follow each other in a tensor, as rectangles of it."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

    from initctl.tensors import Shape


class Box(NamedTuple):
    """The elements of a tensor from index `start` on, `shape` of them."""

    start: Shape
    shape: Shape


def boxes(shape: Shape, start: int, stop: int) -> Iterator[Box]:
    """Elements `start` ≤ i < `stop` of a tensor of `shape`, in row-major order, as boxes in their order."""
    if not shape:
        yield Box((), ())
        return
    inner = prod(shape[1:])
    reached = start
    while reached < stop:
        row, within = divmod(reached, inner)
        if not within and stop - reached >= inner:
            rows = (stop - reached) // inner
            yield Box((row, *(0 for _ in shape[1:])), (rows, *shape[1:]))
            reached += rows * inner
        else:
            end = min(stop, (row + 1) * inner)
            for box in boxes(shape[1:], within, end - row * inner):
                yield Box((row, *box.start), (1, *box.shape))
            reached = end
