"""Many rows that differ only in the numbers of layers, as one: `model.layers.{0..31}.mlp.up_proj.weight`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from itertools import product
from math import prod
from operator import itemgetter
from typing import Generic, NamedTuple, TypeVar

from initctl.errors import shown

Rest = TypeVar("Rest", bound=Hashable)
Layer = TypeVar("Layer")
Member = TypeVar("Member")

Template = tuple[str | None, ...]
"""The parts of a name between its dots, with None in place of numbers."""
Numbers = tuple[int, ...]
NumberSets = tuple[frozenset[int], ...]
"""All combinations of one number from each set, one set for each place."""

FOLDED_ABOVE = 30
"""Rows that are listed one by one at most, unless all are asked for."""
_LONGEST_LIST = 6
"""Numbers, and ranges of them, that are listed one by one at most."""
_LONGEST = 18
"""Digits of a number that is folded."""
_RUN = 3
"""Consecutive numbers from which on a range is shorter than a list."""


class Folded(NamedTuple):
    """Names that differ only in numbers."""

    template: Template
    numbers: NumberSets

    @property
    def size(self) -> int:
        """How many they are."""
        return prod(map(len, self.numbers))

    def names(self) -> Iterator[str]:
        """Each of them, the first numbers first."""
        for numbers in product(*map(sorted, self.numbers)):
            places = iter(numbers)
            yield ".".join(str(next(places)) if part is None else part for part in self.template)

    def shown(self) -> str:
        """As a row of a table calls them."""
        return shown(self.pattern(_LONGEST_LIST)) + (f" ×{self.size}" if self.size > 1 else "")

    def pattern(self, longest: int | None = None) -> str:
        """One pattern for all of them; lists of more than `longest` items are shown without their middle."""
        places = iter(self.numbers)
        return ".".join(_braced(next(places), longest) if part is None else part for part in self.template)


class FoldedRow(NamedTuple, Generic[Member]):
    """The `members` that a row of a table represents, and their name in the row."""

    name: str
    members: Sequence[Member]


def folded_rows(
    members: Sequence[Member],
    name: Callable[[Member], str],
    kind: Callable[[Member], Hashable],
    *,
    unfold: bool,
    above: int = FOLDED_ABOVE,
) -> list[FoldedRow[Member]]:
    """A row for each of `members`. If they are more than `above`, and not to `unfold`, those of one kind whose names
    differ only in numbers share a row, the first numbers first.
    """
    if unfold or len(members) <= above:
        return [FoldedRow(shown(name(member)), [member]) for member in members]
    known = {(name(member), kind(member)): member for member in members}
    return [FoldedRow(names.shown(), [known[each, rest] for each in names.names()]) for names, rest in fold(known)]


def listing(rows: Sequence[tuple[str, Rest]], *, unfold: bool) -> list[tuple[str, Rest]]:
    """Rows (name, rest) with names as they are shown: a long list folded, unless `unfold`."""
    folded = folded_rows(rows, itemgetter(0), itemgetter(1), unfold=unfold)
    return [(name, members[0][1]) for name, members in folded]


def fold(rows: Iterable[tuple[str, Rest]]) -> list[tuple[Folded, Rest]]:
    """Rows (name, rest) as rows (names, the rest that they share), in the order of each one's first name."""
    groups: dict[tuple[Template, Rest], dict[Numbers, int]] = defaultdict(dict)
    for position, (name, rest) in enumerate(rows):
        template, numbers = _split(name)
        groups[template, rest][numbers] = position
    folded = [
        (position, Folded(template, numbers), rest)
        for (template, rest), members in groups.items()
        for numbers, position in _united(members).items()
    ]
    return [(names, rest) for _, names, rest in sorted(folded, key=lambda entry: entry[0])]


def by_depth(rows: Iterable[tuple[str, Layer]]) -> list[tuple[Folded, list[Layer]]]:
    """Rows (name, layer) whose names differ only in numbers as (names, layers from the first to the last), if they are
    at least two; in the order of each one's first name.
    """
    groups: dict[Template, dict[Numbers, Layer]] = defaultdict(dict)
    for name, layer in rows:
        template, numbers = _split(name)
        if numbers:
            groups[template][numbers] = layer
    return [
        (Folded(template, tuple(map(frozenset, zip(*layers, strict=True)))), [layers[key] for key in sorted(layers)])
        for template, layers in groups.items()
        if len(layers) > 1
    ]


def _split(name: str) -> tuple[Template, Numbers]:
    parts = name.split(".")
    template = tuple(None if _is_number(part) else part for part in parts)
    return template, tuple(int(part) for part, word in zip(parts, template, strict=True) if word is None)


def _is_number(part: str) -> bool:
    return len(part) <= _LONGEST and part.isascii() and part.isdigit() and str(int(part)) == part


def _united(members: dict[Numbers, int]) -> dict[NumberSets, int]:
    """`members` as sets whose combinations are each of them once, and the position of the first of each."""
    found = {tuple(frozenset({number}) for number in numbers): position for numbers, position in members.items()}
    for place in reversed(range(len(next(iter(members))))):
        united: dict[tuple[NumberSets, NumberSets], tuple[set[int], int]] = {}
        for numbers, position in found.items():
            others = numbers[:place], numbers[place + 1 :]
            united.setdefault(others, (set(), position))[0].update(numbers[place])
        found = {
            (*before, frozenset(numbers), *after): position for (before, after), (numbers, position) in united.items()
        }
    return found


def _braced(numbers: frozenset[int], longest: int | None) -> str:
    """A number, or numbers in braces: `{0..31}`, `{0,2,4}`, `{0..3,7}`."""
    runs: list[list[int]] = []
    for number in sorted(numbers):
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    texts = [text for run in runs for text in ([f"{run[0]}..{run[-1]}"] if len(run) >= _RUN else map(str, run))]
    if longest and len(texts) > longest:
        texts = [*texts[:3], "…", texts[-1]]
    return texts[0] if len(numbers) == 1 else f"{{{','.join(texts)}}}"
