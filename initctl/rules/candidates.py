"""Which of many patterns may match a name: those of which it has a text that is in all names that they match."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from typing import NamedTuple, Protocol

BEGINNING, END, ANYWHERE = _PLACES = ("beginning", "end", "anywhere")
_FEW = 64
"""Up to this many patterns are all tried: that takes less time than looking for their texts."""
_AS_LONG_AS_TRYING = 4
"""The number of texts that may be looked for in a name, relative to the number of patterns."""


class Anchor(NamedTuple):
    """A `text` that a name must have at a `place`: at its beginning, at its end, or anywhere."""

    place: str
    text: str


class Pattern(Protocol):
    """What matches names."""

    @property
    def anchors(self) -> Sequence[Sequence[Anchor]]:
        """For each way to match: what every name has that matches in this way. Empty if that is unknown."""


class Candidates:
    """An index of `patterns`, which are called by their numbers."""

    def __init__(self, patterns: Sequence[Pattern]) -> None:
        self._all = range(len(patterns))
        self._others: list[int] = []
        self._by_anchor: dict[Anchor, list[int]] = defaultdict(list)
        if len(patterns) > _FEW:
            self._index([pattern.anchors for pattern in patterns])
        self._lengths = {place: sorted({len(a.text) for a in self._by_anchor if a.place == place}) for place in _PLACES}

    def _index(self, patterns: Sequence[Sequence[Sequence[Anchor]]]) -> None:
        """Find each pattern by the rarest anchor of each way to match. `_others` have none."""
        counts = Counter(anchor for ways in patterns for anchors in ways for anchor in {*anchors})
        for number, ways in enumerate(patterns):
            if ways and all(ways):
                for anchor in {min(anchors, key=lambda anchor: counts[anchor]) for anchors in ways}:
                    self._by_anchor[anchor].append(number)
            else:
                self._others.append(number)

    def of(self, name: str) -> Sequence[int]:
        """The numbers of the patterns that may match `name`, in order."""
        if not self._by_anchor or len(name) * len(self._lengths[ANYWHERE]) > _AS_LONG_AS_TRYING * len(self._all):
            return self._all
        found = {number for anchor in self._anchors_in(name) for number in self._by_anchor.get(anchor, ())}
        return sorted(found.union(self._others))

    def _anchors_in(self, name: str) -> Iterator[Anchor]:
        for length in self._lengths[BEGINNING]:
            yield Anchor(BEGINNING, name[:length])
        for length in self._lengths[END]:
            yield Anchor(END, name[-length:])
        for length in self._lengths[ANYWHERE]:
            for at in range(len(name) - length + 1):
                yield Anchor(ANYWHERE, name[at : at + length])
