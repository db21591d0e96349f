"""Names → globs that match all of them, and no other name of the checkpoint.

An ending that no other name has becomes a glob, such as `*.bias`. Other names share a glob if they differ only in
numbers, such as `h.{0..11}.attn.c_proj.weight`, or in one part.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

from initctl.display.folding import Folded, fold
from initctl.grouping import grouped
from initctl.rules import quoted
from initctl.rules.elements import MOST_NUMBERS

if TYPE_CHECKING:
    Parts = tuple[str, ...]
    """The parts of a glob between its dots."""

_WIDEST = 96
"""The most characters of a glob that is merged from several."""
_LONGEST = 2000
"""The most characters of a glob with numbers, which may need more than a glob can have."""
_LEADING_ZERO = re.compile(r"(?:^|\.)0[0-9]+(?:\.|$)")
"""A number with a leading zero, which a range does not preserve."""
_NUMBER = re.compile("[0-9]+")
_PLAIN_NUMBER = re.compile("0|[1-9][0-9]{0,8}")
_EMPTY = "{,}"
"""The glob for the empty name."""
_SURROGATE = re.compile("[\ud800-\udfff]")
_FROM_THE_END = (-2, -1, -3)
"""The parts in which merged globs may differ, in order: the module before the tensor."""


class Patterns:
    """Globs for groups of names; `groups` is the group of each name of a checkpoint."""

    def __init__(self, groups: Mapping[str, int]) -> None:
        self._endings: dict[str, tuple[int | None, int]] = {}
        """For each ending, the group of all names with it, if that is a single group, and their number."""
        self._folds = not any(map(_LEADING_ZERO.search, groups))
        for name, group in groups.items():
            for ending in _endings(name):
                known, count = self._endings.get(ending, (group, 0))
                self._endings[ending] = (group if known == group else None, count + 1)

    def of(self, group: int, names: Iterable[str]) -> list[str]:
        """Globs that match the `names` of a group, and no others."""
        by_ending: dict[str, None] = {}
        others: list[str] = []
        for name in names:
            if ending := self._ending(name, group):
                by_ending[ending] = None
            else:
                others.append(name)
        globs = [("*", *map(_quoted, ending.split("."))) for ending in by_ending]
        rows = [(name, name if self._is_whole(name) else None) for name in others]
        globs += [parts for folded, _ in fold(rows) for parts in _globs(folded)]
        for place in _FROM_THE_END:
            alike = grouped((_without(glob, place), glob) for glob in globs)
            globs = [
                glob
                for members in alike.values()
                for glob in (self._together(members, place) if members[1:] else members)
            ]
        return [".".join(parts) or _EMPTY for parts in globs]

    def _ending(self, name: str, group: int) -> str | None:
        """The shortest ending, a word, that several names of the group have, and no other names."""
        for ending in _endings(name):
            known, count = self._endings[ending]
            if known == group and not ending[0:1].isdigit():
                return ending if count > 1 and ending != name else None
        return None

    def _together(self, alike: Sequence[Parts], place: int) -> Iterator[Parts]:
        """Globs that differ only in the part at `place`, merged with alternatives; several if one would be too wide."""
        at = len(alike[0]) + place
        room = _WIDEST - sum(len(part) + 1 for part in alike[0])
        chosen: list[str] = []
        for glob in alike:
            if chosen and len(",".join((*chosen, glob[at]))) > room:
                yield self._with(alike[0], at, chosen)
                chosen = []
            chosen.append(glob[at])
        yield self._with(alike[0], at, chosen)

    def _with(self, glob: Parts, at: int, chosen: Sequence[str]) -> Parts:
        """`glob` with alternatives at `at`; numbers become ranges, if no name has a leading zero."""
        if self._folds and all(map(_PLAIN_NUMBER.fullmatch, chosen)):
            part = Folded((None,), (frozenset(map(int, chosen)),)).pattern()
        else:
            part = f"{{{','.join(chosen)}}}" if len(chosen) > 1 else chosen[0]
        return *glob[:at], part, *glob[at + 1 :]

    def _is_whole(self, name: str) -> bool:
        """Whether a name must be its own glob: ranges cannot match its numbers."""
        return not self._folds or len(_NUMBER.findall(name)) > MOST_NUMBERS


@lru_cache(1 << 12)
def _quoted(part: str) -> str:
    """A part of a name as a glob; half a surrogate pair becomes `?`, since no recipe can contain it."""
    return _SURROGATE.sub("?", quoted(part))


def _endings(name: str) -> Iterator[str]:
    """The text after each dot, the shortest first, and the name."""
    at = len(name)
    while at >= 0:
        at = name.rfind(".", 0, at) if at else -1
        yield name[at + 1 :]


def _globs(names: Folded) -> Iterator[Parts]:
    """The glob for names that differ only in numbers; or one for each, if it would be too long."""
    numbers = (Folded((None,), (each,)).pattern() for each in names.numbers)
    parts = tuple(next(numbers) if part is None else _quoted(part) for part in names.template)
    if sum(map(len, parts)) <= _LONGEST:
        yield parts
    else:
        yield from (tuple(map(_quoted, name.split("."))) for name in names.names())


def _without(glob: Parts, place: int) -> tuple[Parts, Parts | None]:
    """The rest of a glob that is merged at `place`, which must be equal in all; braces and stars are not merged."""
    at = len(glob) + place
    if at < 0 or glob[at] == "*" or glob[at].startswith("{"):
        return glob, None
    return glob[:at], glob[at + 1 :]
