"""Which bytes of a file are computed, and which are kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from initctl.planning import Action

Range = tuple[int, int]
"""Bytes of a file: where they begin, and where they end."""


def ruled_ranges(actions: Iterable[Action]) -> list[Range]:
    """The bytes that `actions` fill, in order."""
    return joined((a.tensor.offset, a.tensor.offset + a.tensor.nbytes) for a in actions)


def kept_ranges(size: int, ruled: Iterable[Range]) -> list[Range]:
    """What `ruled`, in order, leaves of a file of `size` bytes."""
    kept, reached = [], 0
    for start, stop in [*ruled, (size, size)]:
        if reached < start:
            kept.append((reached, start))
        reached = stop
    return kept


def joined(ranges: Iterable[Range]) -> list[Range]:
    """`ranges` in order, adjacent ones as one, empty ones left out."""
    result: list[Range] = []
    for start, stop in sorted(ranges):
        if result and result[-1][1] == start:
            result[-1] = result[-1][0], stop
        elif start < stop:
            result.append((start, stop))
    return result


def extent(ranges: Iterable[Range]) -> int:
    """Bytes in all."""
    return sum(stop - start for start, stop in ranges)
