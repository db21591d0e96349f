"""Ranges of a file's bytes."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from initctl.tensors import Block


class ByteRange(NamedTuple):
    """Bytes of a file: where they begin, and where they end."""

    start: int
    stop: int


def covered(blocks: Iterable[tuple[Block, int]]) -> list[ByteRange]:
    """The bytes of blocks, each with the size of its elements, in order; gaps within a block are counted in."""
    return joined(ByteRange(block.offset, block.offset + block.extent * width) for block, width in blocks)


def uncovered(size: int, ranges: Iterable[ByteRange]) -> list[ByteRange]:
    """What `ranges`, in order and apart, leave of a file of `size` bytes."""
    rest, reached = [], 0
    for start, stop in [*ranges, ByteRange(size, size)]:
        if reached < start:
            rest.append(ByteRange(reached, start))
        reached = stop
    return rest


def joined(ranges: Iterable[ByteRange]) -> list[ByteRange]:
    """`ranges` in order, those that touch or overlap as one, empty ones left out."""
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
    """Bytes in all."""
    return sum(stop - start for start, stop in ranges)


def overlap(ranges: Sequence[ByteRange], start: int, stop: int) -> int:
    """How many bytes from `start` to `stop` are in `ranges`, which are in order and apart."""
    found = 0
    for number in range(max(0, bisect_right(ranges, (start, start)) - 1), len(ranges)):
        begin, end = ranges[number]
        if begin >= stop:
            break
        found += max(0, min(end, stop) - max(begin, start))
    return found


def common(ranges: Sequence[ByteRange], others: Sequence[ByteRange]) -> list[ByteRange]:
    """What two sequences of ranges, each in order and apart, have in common."""
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
