"""Which bytes of a file are computed, and which are kept."""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from initctl.tensors import Block

Range = tuple[int, int]
"""Bytes of a file: where they begin, and where they end."""


def filled_ranges(blocks: Iterable[tuple[Block, int]]) -> list[Range]:
    """The bytes of blocks, each with the size of its elements, in order; gaps within a block are counted in."""
    return joined((block.offset, block.offset + block.extent * width) for block, width in blocks)


def kept_ranges(size: int, filled: Iterable[Range]) -> list[Range]:
    """What `filled`, in order, leaves of a file of `size` bytes."""
    kept, reached = [], 0
    for start, stop in [*filled, (size, size)]:
        if reached < start:
            kept.append((reached, start))
        reached = stop
    return kept


def joined(ranges: Iterable[Range]) -> list[Range]:
    """`ranges` in order, those that touch or overlap as one, empty ones left out."""
    result: list[Range] = []
    for start, stop in sorted(ranges):
        if result and result[-1][1] >= start:
            result[-1] = result[-1][0], max(stop, result[-1][1])
        elif start < stop:
            result.append((start, stop))
    return result


def extent(ranges: Iterable[Range]) -> int:
    """Bytes in all."""
    return sum(stop - start for start, stop in ranges)


def overlap(ranges: Sequence[Range], start: int, stop: int) -> int:
    """How many bytes from `start` to `stop` lie in `ranges`, which are in order and apart."""
    bytes_within = 0
    first = max(0, bisect_right(ranges, (start, start)) - 1)
    for number in range(first, len(ranges)):
        begin, end = ranges[number]
        if begin >= stop:
            break
        bytes_within += max(0, min(end, stop) - max(begin, start))
    return bytes_within


def common(ranges: Sequence[Range], others: Sequence[Range]) -> list[Range]:
    """What two sequences of ranges, each in order and apart, have in common."""
    found, place = [], 0
    for start, stop in ranges:
        while place < len(others) and others[place][1] <= start:
            place += 1
        number = place
        while number < len(others) and others[number][0] < stop:
            begin, end = others[number]
            found.append((max(start, begin), min(stop, end)))
            number += 1
    return found
