"""Consecutive elements: in a tensor and in its file, or only in a tensor."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from math import prod
from typing import NamedTuple

from initctl.tensors import Block, Shape, row_major


class Run(NamedTuple):
    """`numel` elements: from index `start` of the tensor in row-major order, and from byte `offset` of the file."""

    start: int
    numel: int
    offset: int


def runs(block: Block, shape: Shape, width: int) -> Iterator[Run]:
    """The runs of a row-major `block` of a tensor of `shape` with elements of `width` bytes."""
    if not (numel := block.numel):
        return
    if block.shape == shape:
        yield Run(0, numel, block.offset)
        return
    split = max(dim for dim, size in enumerate(shape) if block.shape[dim] != size)
    strides = row_major(shape)
    first = sum(start * stride for start, stride in zip(block.start, strides, strict=True))
    count, offset = prod(block.shape[split:]), block.offset
    for index in product(*map(range, block.shape[:split])):
        yield Run(first + sum(i * stride for i, stride in zip(index, strides, strict=False)), count, offset)
        offset += count * width


def tiles(block: Block, width: int, limit: int) -> Iterator[Block]:
    """`block` cut into rectangles of at most `limit` bytes. The longest dimension is halved each time."""
    if block.numel * width <= limit:
        yield block
        return
    dim = max(range(len(block.shape)), key=lambda dim: block.shape[dim])
    half = block.shape[dim] // 2
    yield from tiles(block.part(dim, 0, half, width), width, limit)
    yield from tiles(block.part(dim, half, block.shape[dim], width), width, limit)


class Box(NamedTuple):
    """A rectangle of a tensor: it begins at index `start` and has `shape`."""

    start: Shape
    shape: Shape


def boxes(shape: Shape, start: int, stop: int) -> Iterator[Box]:
    """Elements `start` ≤ i < `stop` of a tensor of `shape`, in row-major order, as boxes in order."""
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
