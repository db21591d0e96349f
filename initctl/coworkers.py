"""Processes that share one work: who does which items, and what all of them found."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from heapq import heapreplace
from typing import Protocol, TypeVar

_Found = TypeVar("_Found")


class Coworkers(Protocol):
    """A process and the others that run the same command. Each calls the same methods in the same order."""

    @property
    def count(self) -> int:
        """The number of processes."""

    def own(self, sizes: Sequence[int]) -> list[int]:
        """The numbers of the items of these `sizes` that this process does, in order."""

    def takes(self, size: int) -> bool:
        """Whether this process does the next item, of this `size`."""

    def all_of(self, found: _Found) -> list[_Found]:
        """What each process `found`, in the same order everywhere. Raises the error of a process that failed."""


class Alone:
    """One process that does everything."""

    count = 1

    def own(self, sizes: Sequence[int]) -> list[int]:
        return list(range(len(sizes)))

    def takes(self, size: int) -> bool:  # noqa: ARG002 - it takes every item
        return True

    def all_of(self, found: _Found) -> list[_Found]:
        return [found]


ALONE = Alone()


class Loads:
    """The sizes that each of `count` workers has so far."""

    def __init__(self, count: int) -> None:
        self._heap = [(0, number) for number in range(count)]

    @property
    def least(self) -> int:
        """The size that the worker with the least has."""
        return self._heap[0][0]

    def add(self, size: int) -> int:
        """Give an item to the worker that has the least, and return its number."""
        load, number = self._heap[0]
        heapreplace(self._heap, (load + size, number))
        return number


def handed_out(sizes: Sequence[int], count: int) -> list[list[int]]:
    """The numbers of the items of these `sizes`, in order, for each of `count` workers: the largest are handed out
    first, each to the worker that has the least.
    """
    found: list[list[int]] = [[] for _ in range(count)]
    loads = Loads(count)
    for number in sorted(range(len(sizes)), key=lambda number: (-sizes[number], number)):
        found[loads.add(sizes[number])].append(number)
    return [sorted(numbers) for numbers in found]


def merged(found: Iterable[dict[int, _Found]]) -> dict[int, _Found]:
    """What several processes found, by the numbers of the items."""
    return {number: value for each in found for number, value in each.items()}
