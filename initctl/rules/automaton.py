"""A tree of a pattern → a nondeterministic automaton, with one state for each character or number it can consume.

It is run by following sets of states, so that no pattern makes it slow; sets already seen are remembered. A number is
consumed whole, from its first digit to its last: where one begins, its states step to where it ends.
"""

from __future__ import annotations

import re
from functools import reduce
from operator import or_
from typing import TYPE_CHECKING

from initctl.rules.pattern import LONGEST_NUMBER, AnyChar, AnyRun, CharSet, Choice, Literal, Number, Sequence

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    States = int
    """A set of states: the bits of their numbers."""

MOST_NUMBERS = 64
"""Numbers in a name that a pattern looks at."""
_REMEMBERED_SETS = 1024
_NEAR = 3
"""Distances to itself, to the next state, and to that behind it: what stars and what stands behind them lead to."""
_DIGITS = re.compile("[0-9]+")


def numbers_in(name: str) -> dict[int, int]:
    """Where the first numbers of `name` begin and end: whole runs of digits, not too long to be one."""
    found: dict[int, int] = {}
    for match in _DIGITS.finditer(name):
        if match.end() - match.start() <= LONGEST_NUMBER:
            found[match.start()] = match.end()
        if len(found) == MOST_NUMBERS:
            break
    return found


class Automaton:
    """What a pattern matches."""

    ACCEPT = 0

    def __init__(self, tree: Sequence) -> None:
        self._consumes: list[Callable[[str], bool]] = [_nothing]
        self._follow: list[States] = [0]
        self._numbers: dict[int, Number] = {}
        self._start = self._enter(tree, 1 << self.ACCEPT)
        self._numbered = sum(1 << state for state in self._numbers)
        self._near, self._far = self._by_distance()
        self._consuming: dict[str, States] = {}
        self._seen: dict[States, dict[str, States]] = {}

    def _enter(self, nodes: Sequence, follow: States) -> States:
        """Add states for `nodes`, which lead on to `follow`; returns the states that they begin with."""
        for node in reversed(nodes):
            match node:
                case Choice(alternatives):
                    follow = reduce(or_, [self._enter(nodes, follow) for nodes in alternatives])
                case AnyRun():
                    state = len(self._follow)
                    follow |= 1 << state
                    self._add(_any_char, follow)
                case _:
                    state = len(self._follow)
                    if isinstance(node, Number):
                        self._numbers[state] = node
                    self._add(_consumer(node), follow)
                    follow = 1 << state
        return follow

    def _add(self, consumes: Callable[[str], bool], follow: States) -> None:
        self._consumes.append(consumes)
        self._follow.append(follow)

    def accepts(self, text: str, highest: Mapping[str, int], pinned: Mapping[str, int] | None = None) -> bool:
        """Whether it matches the whole of `text`.

        `highest` is the highest number that stands behind each beginning of a name; `pinned` says where the numbers of
        some captures must begin.
        """
        return self._accepts_numbers(text, highest, pinned or {}) if self._numbers else self._accepts(text)

    def _accepts(self, text: str) -> bool:
        states = self._start
        for char in text:
            states = self._step(states, char)
            if not states:
                return False
        return self._is_accepting(states)

    def _accepts_numbers(self, text: str, highest: Mapping[str, int], pinned: Mapping[str, int]) -> bool:
        ends = numbers_in(text)
        states = self._start
        arriving: dict[int, States] = {}
        for at, char in enumerate(text):
            if at in arriving:
                states |= arriving.pop(at)
            if at in ends and (after := self._after_number(states, text, at, ends[at], highest, pinned)):
                arriving[ends[at]] = after
            states = self._step(states, char)
            if not states and not arriving:
                return False
        return self._is_accepting(states | arriving.get(len(text), 0))

    def _is_accepting(self, states: States) -> bool:
        return bool(states >> self.ACCEPT & 1)

    def _after_number(
        self, states: States, text: str, start: int, stop: int, highest: Mapping[str, int], pinned: Mapping[str, int]
    ) -> States:
        """Where `states` lead that consume the number from `start` to `stop` of `text`."""
        number = int(text[start:stop])
        found: States = 0
        for state in _members(states & self._numbered):
            node = self._numbers[state]
            stands_there = pinned.get(node.capture or "", start) == start
            if stands_there and node.admits(number, highest.get(text[:start], number)):
                found |= self._follow[state]
        return found

    def _step(self, states: States, char: str) -> States:
        steps = self._seen.get(states)
        if steps is None:
            if len(self._seen) >= _REMEMBERED_SETS:
                self._seen.clear()
            steps = self._seen[states] = {}
        if char not in steps:
            consuming = states & self._consumers(char)
            reached = reduce(or_, ((consuming & near) >> distance for distance, near in enumerate(self._near)))
            for state in _members(consuming & self._far):
                reached |= self._follow[state]
            steps[char] = reached
        return steps[char]

    def _by_distance(self) -> tuple[list[States], States]:
        """By each small distance the states that lead as far back from themselves, and those that lead farther.

        A state leads to those before it, and without alternatives to no more than the two next: all states that do
        are followed at once.
        """
        near, far = [0] * _NEAR, 0
        for state, follow in enumerate(self._follow):
            distances = [distance for distance in range(min(_NEAR, state + 1)) if follow >> state - distance & 1]
            if len(distances) == follow.bit_count():
                for distance in distances:
                    near[distance] |= 1 << state
            else:
                far |= 1 << state
        return near, far

    def _consumers(self, char: str) -> States:
        """The states that consume `char`."""
        if char not in self._consuming:
            if len(self._consuming) >= _REMEMBERED_SETS:
                self._consuming.clear()
            bits = "".join("1" if consumes(char) else "0" for consumes in reversed(self._consumes))
            self._consuming[char] = int(bits, 2)
        return self._consuming[char]


def _members(states: States) -> Iterator[int]:
    """The numbers of `states`."""
    text = bin(states)
    at = text.rfind("1")
    while at >= 0:
        yield len(text) - 1 - at
        at = text.rfind("1", 0, at)


def _any_char(_: str) -> bool:
    return True


def _nothing(_: str) -> bool:
    return False


def _consumer(node: Literal | AnyChar | CharSet | Number) -> Callable[[str], bool]:
    match node:
        case Literal(expected):
            return lambda char: char == expected
        case CharSet(ranges, negated):
            return lambda char: any(low <= char <= high for low, high in ranges) != negated
        case Number():
            return _nothing
    return _any_char
