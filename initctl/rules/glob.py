r"""Globs over tensor names, matched in time proportional to the name, whatever the pattern.

    *       any run of characters, dots included            {a,b}      either, nestable
    ?       any one character                               {2..5}     a whole number in a range
    [abc] [!abc] [0-9]   one character of (or not of) a set {-2..-1}   counted back from the highest at that place
    \       quotes the next character                       {l}        any whole number, which is then called l

A number is matched whole, all of its digits. The highest number at a place is that which stands in any name of the
checkpoint after the same beginning.
"""

from __future__ import annotations

from itertools import islice
from types import MappingProxyType
from typing import TYPE_CHECKING

from initctl.rules.automaton import Automaton, numbers_in
from initctl.rules.pattern import Choice, Literal, Node, Number, parse_pattern

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from initctl.rules.pattern import Sequence as Tree


MOST_ALTERNATIVES = 32
"""That are looked at one by one."""
NO_NUMBERS: Mapping[str, int] = MappingProxyType({})
"""Where no number stands behind anything."""


class Glob:
    """A compiled pattern. Matching is case-sensitive, by code point, and against the whole name."""

    def __init__(self, pattern: str) -> None:
        """Raise `RuleError` where `pattern` is not a glob."""
        self.pattern = pattern
        self._tree = parse_pattern(pattern)
        self._automaton = Automaton(self._tree)
        self._prefix = _literal_prefix(self._tree)
        self._suffix = _literal_prefix(self._tree[::-1])[::-1]
        self.captures = tuple(n.capture for n in _nodes(self._tree) if isinstance(n, Number) and n.capture)
        """What it calls numbers, in the order of the pattern."""

    @property
    def has_wildcards(self) -> bool:
        """Whether it can match names that it does not spell out; alternatives and plain ranges spell out theirs."""
        return any(map(_is_wildcard, _nodes(self._tree)))

    def matches(self, name: str, highest: Mapping[str, int] = NO_NUMBERS) -> bool:
        """Whether the whole of `name` fits the pattern; `highest` is what `highest_numbers` tells of all names."""
        return name.startswith(self._prefix) and name.endswith(self._suffix) and self._automaton.accepts(name, highest)

    def captured(self, name: str, highest: Mapping[str, int] = NO_NUMBERS) -> dict[str, int]:
        """The number that each capture stands for in `name`, which it matches: the first that it can be."""
        ends = numbers_in(name)
        pinned: dict[str, int] = {}
        places = iter(ends)  # captures stand in alternatives never, and so behind each other
        for capture in self.captures:
            pinned[capture] = next(
                at for at in places if self._automaton.accepts(name, highest, {**pinned, capture: at})
            )
        return {capture: int(name[at : ends[at]]) for capture, at in pinned.items()}

    def idle_alternatives(self, names: Sequence[str], highest: Mapping[str, int] = NO_NUMBERS) -> list[str]:
        """The alternatives by which none of `names` matches, where none is empty; of very many, the first."""
        narrowed = islice(_narrowed(self._tree), MOST_ALTERNATIVES)
        automata = ((text, Automaton(tree)) for text, tree in narrowed)
        return [text for text, automaton in automata if not any(automaton.accepts(name, highest) for name in names)]


def highest_numbers(names: Iterable[str]) -> dict[str, int]:
    """For each beginning of a name that a number follows, the highest that does."""
    highest: dict[str, int] = {}
    for name in names:
        for start, stop in numbers_in(name).items():
            beginning, number = name[:start], int(name[start:stop])
            highest[beginning] = max(number, highest.get(beginning, number))
    return highest


def _narrowed(tree: Tree) -> Iterator[tuple[str, Tree]]:
    """The pattern with one alternative in the place of braces, for each alternative, with its text; of a range of
    numbers, for its ends.
    """
    for at, node in enumerate(tree):
        if isinstance(node, Choice) and all(node.alternatives):
            for text, alternative in zip(node.texts, node.alternatives, strict=True):
                yield text, (*tree[:at], *alternative, *tree[at + 1 :])
        if isinstance(node, Number) and 0 <= node.low < node.high:
            for end in (node.low, node.high):
                yield str(end), (*tree[:at], Number(end, end), *tree[at + 1 :])


def _nodes(tree: Tree) -> Iterator[Node]:
    """Every node but choices."""
    for node in tree:
        if isinstance(node, Choice):
            for alternative in node.alternatives:
                yield from _nodes(alternative)
        else:
            yield node


def _is_wildcard(node: Node) -> bool:
    if isinstance(node, Number):
        return node.capture is not None or node.counts_back
    return not isinstance(node, Literal)


def _literal_prefix(nodes: Tree) -> str:
    prefix = ""
    for node in nodes:
        if not isinstance(node, Literal):
            break
        prefix += node.char
    return prefix
