"""Many rows that differ only in the numbers of layers, as one: `model.layers.{0..31}.mlp.up_proj.weight`."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Hashable
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from initctl.errors import shown

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

Rest = TypeVar("Rest", bound=Hashable)

Template = tuple[str | None, ...]
"""The parts of a name between its dots, with None where a number stands."""
Numbers = tuple[int, ...]
Block = tuple[frozenset[int], ...]
"""All combinations of one number from each set, one set for each place."""

FOLDED_ABOVE = 30
"""Rows that are listed one by one at most, unless all are asked for."""
_LIST = re.compile(r"\{([0-9.]+(?:,[0-9.]+)+)\}")
_LONGEST_LIST = 6
"""Numbers, and ranges of them, that are listed one by one at most."""
_RUN = 3
"""Consecutive numbers from which on a range is shorter than a list."""


class Folded(NamedTuple):
    """Names as one pattern, and how many they are."""

    pattern: str
    size: int


def listing(rows: Sequence[tuple[str, Rest]], *, unfold: bool) -> list[tuple[str, Rest]]:
    """Rows (name, rest) with names as they are shown: a long list folded, unless `unfold`."""
    if unfold or len(rows) <= FOLDED_ABOVE:
        return [(shown(name), rest) for name, rest in rows]
    return [(_counted(names), rest) for names, rest in fold(rows)]


def _counted(names: Folded) -> str:
    if names.size == 1:
        return shown(names.pattern)
    return f"{shown(_LIST.sub(_shortened, names.pattern))} ×{names.size}"


def _shortened(numbers: re.Match[str]) -> str:
    """A list of numbers, without its middle if it is long."""
    items = numbers[1].split(",")
    return f"{{{','.join([*items[:3], '…', items[-1]])}}}" if len(items) > _LONGEST_LIST else numbers[0]


def fold(rows: Iterable[tuple[str, Rest]]) -> list[tuple[Folded, Rest]]:
    """Rows (name, rest) as rows (names, the rest that they share), in the order of each one's first name."""
    groups: dict[tuple[Template, Rest], dict[Numbers, int]] = defaultdict(dict)
    for position, (name, rest) in enumerate(rows):
        template, numbers = _split(name)
        groups[template, rest][numbers] = position
    folded = [
        (position, Folded(_pattern(template, block), _size(block)), rest)
        for (template, rest), members in groups.items()
        for block, position in _blocks(members).items()
    ]
    return [(names, rest) for _, names, rest in sorted(folded, key=lambda entry: entry[0])]


def _split(name: str) -> tuple[Template, Numbers]:
    parts = name.split(".")
    is_number = [part.isascii() and part.isdigit() and str(int(part)) == part for part in parts]
    template = tuple(None if number else part for part, number in zip(parts, is_number, strict=True))
    return template, tuple(int(part) for part, number in zip(parts, is_number, strict=True) if number)


def _blocks(members: dict[Numbers, int]) -> dict[Block, int]:
    """`members` as blocks that hold each of them once, and the position of each block's first member."""
    blocks = {tuple(frozenset({number}) for number in numbers): position for numbers, position in members.items()}
    for place in reversed(range(len(next(iter(members))))):
        merged: dict[Block, tuple[frozenset[int], int]] = {}
        for block, position in blocks.items():
            others = block[:place] + block[place + 1 :]
            numbers, first = merged.get(others, (frozenset[int](), position))
            merged[others] = numbers | block[place], min(first, position)
        blocks = {
            (*others[:place], numbers, *others[place:]): position for others, (numbers, position) in merged.items()
        }
    return blocks


def _size(block: Block) -> int:
    size = 1
    for numbers in block:
        size *= len(numbers)
    return size


def _pattern(template: Template, block: Block) -> str:
    places = iter(block)
    return ".".join(_numbers(next(places)) if part is None else part for part in template)


def _numbers(numbers: frozenset[int]) -> str:
    """A number, or numbers in braces: `{0..31}`, `{0,2,4}`, `{0..3,7}`."""
    runs: list[list[int]] = []
    for number in sorted(numbers):
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    texts = [f"{run[0]}..{run[-1]}" if len(run) >= _RUN else ",".join(map(str, run)) for run in runs]
    return texts[0] if len(numbers) == 1 else f"{{{','.join(texts)}}}"
