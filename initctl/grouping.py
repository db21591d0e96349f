"""Values with the same key, and sequences with the same beginning."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable, Sequence
from itertools import takewhile
from typing import TypeVar

_Key = TypeVar("_Key", bound="Hashable")
_Value = TypeVar("_Value")


def grouped(pairs: Iterable[tuple[_Key, _Value]]) -> dict[_Key, list[_Value]]:
    """The values of each key, in the order of `pairs`. Other keys give an empty list."""
    found: dict[_Key, list[_Value]] = defaultdict(list)
    for key, value in pairs:
        found[key].append(value)
    return found


def shared_start(sequences: Iterable[Sequence[str]]) -> int:
    """The number of first items that all `sequences` share."""
    return sum(1 for _ in takewhile(lambda items: len(set(items)) == 1, zip(*sequences, strict=False)))
