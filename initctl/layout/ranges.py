"""Ranges of a file's bytes."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from initctl.tensors import Block


class ByteRange(NamedTuple):
    """The bytes of a file from `start` to `stop` (exclusive)."""

    start: int
    stop: int


def covered(blocks: Iterable[tuple[Block, int]]) -> list[ByteRange]:
    """The bytes of blocks, each given with its element size, as joined ranges. Gaps within a block are included."""
    return joined(ByteRange(block.offset, block.offset + block.extent * width) for block, width in blocks)


def uncovered(size: int, ranges: Iterable[ByteRange]) -> list[ByteRange]:
    """The bytes of a file of `size` bytes that are not in `ranges`, which are sorted and disjoint."""
    rest, reached = [], 0
    for start, stop in [*ranges, ByteRange(size, size)]:
        if reached < start:
            rest.append(ByteRange(reached, start))
        reached = stop
    return rest


def joined(ranges: Iterable[ByteRange]) -> list[ByteRange]:
    """`ranges`, sorted. Ranges that touch or overlap are joined, empty ones are left out."""
    result: list[ByteRange] = []
    begin = end = -1
    for start, stop in sorted(ranges):
        if start == stop or stop <= end:
            continue
        if start > end:
            if begin < end:
                result.append(ByteRange(begin, end))
            begin = start
        end = stop
    return [*result, ByteRange(begin, end)] if begin < end else result


def total(ranges: Iterable[ByteRange]) -> int:
    """The total number of bytes."""
    return sum(stop - start for start, stop in ranges)


def overlap(ranges: Sequence[ByteRange], start: int, stop: int) -> int:
    """How many bytes from `start` to `stop` are in `ranges`, which are sorted and disjoint."""
    found = 0
    for number in range(max(0, bisect_right(ranges, (start, start)) - 1), len(ranges)):
        begin, end = ranges[number]
        if begin >= stop:
            break
        found += max(0, min(end, stop) - max(begin, start))
    return found


def common(ranges: Sequence[ByteRange], others: Sequence[ByteRange]) -> list[ByteRange]:
    """The bytes in both of two sequences of ranges, each sorted and disjoint."""
    found, place = [], 0
    for start, stop in ranges:
        while place < len(others) and others[place].stop <= start:
            place += 1
        number = place
        while number < len(others) and others[number].start < stop:
            begin, end = others[number]
            found.append(ByteRange(max(start, begin), min(stop, end)))
            number += 1
    return found
