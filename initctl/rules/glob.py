r"""Globs over tensor names, matched in time linear in the name whatever the pattern.

    *        any run of characters, dots included          {a,b}   either, nestable
    ?        any one character                             \       quotes the next character
    [abc] [!abc] [0-9]   one character of (or not of) a set

A pattern is parsed to a tree, the tree is compiled to a nondeterministic automaton with one state for each character
it can consume, and the automaton is run by following sets of states; sets already seen are remembered.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from initctl.errors import Problem, RuleError, shown

if TYPE_CHECKING:
    from collections.abc import Callable

LONGEST_PATTERN = 4096
DEEPEST_BRACES = 32
_REMEMBERED_SETS = 1024

_WIDE_RANGE = re.compile(r"([0-9]+)-([0-9]+)")
_NUMBER_RANGE = re.compile(r"(-?[0-9]+)\.\.(-?[0-9]+)")
_SPECIAL = re.compile(r"[*?\[\]{},\\=]")
"""What a pattern, or a rule, reads as more than itself."""
_SPELLED_OUT = 16
"""Numbers that a proposal lists one by one at most."""


def quoted(name: str) -> str:
    """The pattern that matches `name` and nothing else."""
    return _SPECIAL.sub(r"\\\g<0>", name)


@dataclass(frozen=True, slots=True)
class Literal:
    char: str


@dataclass(frozen=True, slots=True)
class AnyChar:
    pass


@dataclass(frozen=True, slots=True)
class AnyRun:
    pass


@dataclass(frozen=True, slots=True)
class CharSet:
    """One character within (or, negated, outside) some inclusive ranges."""

    ranges: tuple[tuple[str, str], ...]
    negated: bool


@dataclass(frozen=True, slots=True)
class Choice:
    alternatives: tuple[Sequence, ...]


Node = Literal | AnyChar | AnyRun | CharSet | Choice
Sequence = tuple[Node, ...]


class Glob:
    """A compiled pattern. Matching is case-sensitive, by code point, and against the whole name."""

    def __init__(self, pattern: str) -> None:
        """Raise `RuleError` where `pattern` is not a glob."""
        self.pattern = pattern
        self._tree = _Parser(pattern).parse()
        self._automaton = _Automaton(self._tree)
        self._prefix = _literal_prefix(self._tree)
        self._suffix = _literal_prefix(self._tree[::-1])[::-1]

    @property
    def has_wildcards(self) -> bool:
        """Whether it can match names that it does not spell out; alternatives alone spell out theirs."""
        return _has_wildcards(self._tree)

    def matches(self, name: str) -> bool:
        """Whether the whole of `name` fits the pattern."""
        return name.startswith(self._prefix) and name.endswith(self._suffix) and self._automaton.accepts(name)


class _Parser:
    """Recursive descent over one pattern."""

    def __init__(self, pattern: str) -> None:
        self.pattern = pattern
        self.at = 0
        self.depth = 0

    def parse(self) -> Sequence:
        if len(self.pattern) > LONGEST_PATTERN:
            raise self.error(f"longer than {LONGEST_PATTERN} characters")
        if not self.pattern:
            raise self.error("empty", "name a tensor, or write * for all")
        return self.sequence(ends="")

    def sequence(self, ends: str) -> Sequence:
        nodes: list[Node] = []
        while self.at < len(self.pattern) and self.pattern[self.at] not in ends:
            nodes.append(self.node())
        return tuple(nodes)

    def node(self) -> Node:
        char = self.pattern[self.at]
        self.at += 1
        match char:
            case "*":
                while self.pattern.startswith("*", self.at):  # several in a row are one
                    self.at += 1
                return AnyRun()
            case "?":
                return AnyChar()
            case "[":
                return self.char_set()
            case "{":
                return self.choice()
            case "\\":
                return Literal(self.quoted())
        return Literal(char)

    def choice(self) -> Choice:
        start = self.at - 1
        self.depth += 1
        if self.depth > DEEPEST_BRACES:
            raise self.error(f"braces nested deeper than {DEEPEST_BRACES}")
        alternatives = [self.sequence(ends=",}")]
        while (end := self.take()) == ",":
            alternatives.append(self.sequence(ends=",}"))
        if end != "}":
            raise self.error(f"the brace at column {start + 1} is not closed", r"write \{ for the character itself")
        self.depth -= 1
        self.check_choice(self.pattern[start : self.at], alternatives)
        return Choice(tuple(alternatives))

    def check_choice(self, text: str, alternatives: list[Sequence]) -> None:
        found = _NUMBER_RANGE.search(text)
        text = shown(text)
        if found:
            raise self.error(f"{text} would be a range of numbers, which globs do not have", _list_of(*found.groups()))
        if len(alternatives) == 1:
            raise self.error(f"{text} offers no choice", r"separate alternatives by commas, or write \{ for the brace")

    def char_set(self) -> CharSet:
        start = self.at - 1
        if self.pattern.startswith("^", self.at):
            raise self.error("[^ does not negate a set", r"write [!, or [\^ for a set that holds ^")
        negated = self.pattern.startswith("!", self.at)
        self.at += negated
        ranges: list[tuple[str, str]] = []
        while (char := self.set_char(start)) is not None:
            low = high = char
            if self.pattern.startswith("-", self.at) and not self.pattern.startswith("-]", self.at):
                self.at += 1
                high = self.set_char(start) or char
            ranges.append((low, high))
        text = self.pattern[start : self.at]
        found = next((f for f in _WIDE_RANGE.finditer(text) if max(map(len, f.groups())) > 1), None)
        text = shown(text)
        if found:
            raise self.error(f"{text} is a set of single characters, not a range of numbers", _list_of(*found.groups()))
        if not ranges or any(low > high for low, high in ranges):
            raise self.error(f"{text} matches nothing", r"write \[ for the bracket itself")
        return CharSet(tuple(ranges), negated)

    def set_char(self, start: int) -> str | None:
        """The next character of a set, or None at its end."""
        char = self.take()
        if char is None:
            raise self.error(f"the bracket at column {start + 1} is not closed", r"write \[ for the character itself")
        if char == "]":
            return None
        return self.quoted() if char == "\\" else char

    def quoted(self) -> str:
        char = self.take()
        if char is None:
            raise self.error("a backslash at the end quotes nothing", r"write \\ for the character itself")
        return char

    def take(self) -> str | None:
        """The next character, or None at the end of the pattern."""
        char = self.pattern[self.at : self.at + 1]
        self.at += len(char)
        return char or None

    def error(self, fault: str, hint: str | None = None) -> RuleError:
        return RuleError(Problem("rule.glob", f"pattern {shown(self.pattern)}: {fault}", hint))


def _list_of(low: str, high: str) -> str:
    first, last = int(low), int(high)
    if 0 <= first <= last < first + _SPELLED_OUT:
        return f"list the numbers: {{{','.join(map(str, range(first, last + 1)))}}}"
    return "list the numbers in braces: {8,9,10,11}"


class _Automaton:
    """One state for each node that consumes a character, and one that accepts."""

    ACCEPT = 0

    def __init__(self, tree: Sequence) -> None:
        self._consumes: list[Callable[[str], bool]] = [lambda _: False]
        self._follow: list[frozenset[int]] = [frozenset()]
        self._start = self._enter(tree, frozenset({self.ACCEPT}))
        self._seen: dict[frozenset[int], dict[str, frozenset[int]]] = {}

    def _enter(self, nodes: Sequence, follow: frozenset[int]) -> frozenset[int]:
        """Add states for `nodes`, which lead on to `follow`; returns the states that they begin with."""
        for node in reversed(nodes):
            match node:
                case Choice(alternatives):
                    follow = frozenset().union(*(self._enter(nodes, follow) for nodes in alternatives))
                case AnyRun():
                    state = len(self._follow)
                    follow |= {state}
                    self._add(_any_char, follow)
                case _:
                    state = len(self._follow)
                    self._add(_consumer(node), follow)
                    follow = frozenset({state})
        return follow

    def _add(self, consumes: Callable[[str], bool], follow: frozenset[int]) -> None:
        self._consumes.append(consumes)
        self._follow.append(follow)

    def accepts(self, text: str) -> bool:
        states = self._start
        for char in text:
            states = self._step(states, char)
            if not states:
                return False
        return self.ACCEPT in states

    def _step(self, states: frozenset[int], char: str) -> frozenset[int]:
        steps = self._seen.get(states)
        if steps is None:
            if len(self._seen) >= _REMEMBERED_SETS:
                self._seen.clear()
            steps = self._seen[states] = {}
        if char not in steps:
            reached = (self._follow[state] for state in states if self._consumes[state](char))
            steps[char] = frozenset().union(*reached)
        return steps[char]


def _any_char(_: str) -> bool:
    return True


def _consumer(node: Literal | AnyChar | CharSet) -> Callable[[str], bool]:
    match node:
        case Literal(expected):
            return lambda char: char == expected
        case CharSet(ranges, negated):
            return lambda char: any(low <= char <= high for low, high in ranges) != negated
    return _any_char


def _literal_prefix(nodes: Sequence) -> str:
    prefix = ""
    for node in nodes:
        if not isinstance(node, Literal):
            break
        prefix += node.char
    return prefix


def _has_wildcards(nodes: Sequence) -> bool:
    return any(
        any(map(_has_wildcards, node.alternatives)) if isinstance(node, Choice) else not isinstance(node, Literal)
        for node in nodes
    )
