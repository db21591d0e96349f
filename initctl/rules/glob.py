r"""Globs over tensor names, matched in time proportional to the name for every pattern.

    *       any run of characters, dots included            {a,b}      either, nestable
    ?       any one character                               {2..5}     a whole number in a range
    [abc] [!abc] [0-9]   one character of (or not of) a set {-2..-1}   counted back from the highest at that place
    \       quotes the next character                       {l}        any whole number, named l

A number is matched whole, all of its digits. The highest number at a place is the highest one that follows the same
beginning in any name of the checkpoint.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING

from initctl.errors import Excerpt
from initctl.rules.elements import (
    MOST_ALTERNATIVES,
    NO_NUMBERS,
    Alternatives,
    Characters,
    CharSet,
    Matcher,
    NumberRange,
    numbers_in,
    spelled_out,
)
from initctl.rules.pattern import parse_pattern

if TYPE_CHECKING:
    from initctl.rules.candidates import Anchor
    from initctl.rules.elements import Element, Elements

_DIGITS = frozenset("0123456789")
_TO_LAST_DIGIT = re.compile(".*[0-9]", re.DOTALL)


class Glob:
    """A compiled pattern. Matching is case-sensitive, by code point, and against the whole name."""

    def __init__(self, pattern: str | Excerpt) -> None:
        """Raise `RuleError` if `pattern` is not a glob."""
        self.pattern = str(pattern)
        self._elements = parse_pattern(Excerpt.of(pattern))
        self._matchers = [Matcher(elements) for elements in spelled_out(self._elements)]
        self.captures = tuple(e.capture for e in _leaves(self._elements) if isinstance(e, NumberRange) and e.capture)
        """Its names for numbers, in the order of the pattern."""
        self.has_wildcards = any(map(_is_wildcard, _leaves(self._elements)))
        """Whether it can match names that it does not spell out; alternatives and plain ranges spell out names."""
        self.tells_digits_apart = any(map(_tells_digits_apart, _leaves(self._elements)))
        """Whether it can match only one of two names that differ just in the values of digits."""
        self.counts_back = any(isinstance(e, NumberRange) and e.counts_back for e in _leaves(self._elements))
        """Whether it counts numbers back from the highest."""

    def matches(
        self, name: str, highest: Mapping[str, int] = NO_NUMBERS, pinned: Mapping[str, int] = NO_NUMBERS
    ) -> bool:
        """Whether the pattern matches the whole `name`; `highest` is what `highest_numbers` returns for all names.

        `pinned` says where the numbers of some captures must begin.
        """
        for matcher in self._matchers:  # noqa: SIM110 - this is called for each name and rule, and `any` takes longer
            if matcher.accepts(name, highest, pinned):
                return True
        return False

    @property
    def anchors(self) -> list[list[Anchor]]:
        """For each way to match: what every name has that matches in this way."""
        return [matcher.anchors for matcher in self._matchers]

    def captured(self, name: str, highest: Mapping[str, int] = NO_NUMBERS) -> dict[str, int]:
        """The number of each capture in `name`, which it matches: the first possible one."""
        ends = numbers_in(name)
        pinned: dict[str, int] = {}
        places = iter(ends)  # captures are never in alternatives, so they follow each other
        for capture in self.captures:
            pinned[capture] = next(at for at in places if self.matches(name, highest, {**pinned, capture: at}))
        return {capture: int(name[at : ends[at]]) for capture, at in pinned.items()}

    def idle_alternatives(self, names: Sequence[str], highest: Mapping[str, int] = NO_NUMBERS) -> list[str]:
        """The alternatives that match none of `names`, if none is empty; of very many, the first."""
        narrowed = islice(_narrowed(self._elements), MOST_ALTERNATIVES)
        matchers = ((text, Matcher(elements)) for text, elements in narrowed)
        return [text for text, matcher in matchers if not any(matcher.accepts(name, highest) for name in names)]


def highest_numbers(names: Iterable[str]) -> dict[str, int]:
    """For each beginning of a name that a number follows, the highest such number."""
    highest: dict[str, int] = {}
    for name in {found[0] for name in names if (found := _TO_LAST_DIGIT.match(name))}:
        for start, stop in numbers_in(name).items():
            beginning, number = name[:start], int(name[start:stop])
            highest[beginning] = max(number, highest.get(beginning, number))
    return highest


def _narrowed(elements: Elements) -> Iterator[tuple[str, Elements]]:
    """The pattern with each alternative in place of its braces, and the alternative's text; of a range of numbers, with
    its ends.
    """
    for at, element in enumerate(elements):
        before, behind = elements[:at], elements[at + 1 :]
        match element:
            case Alternatives(sequences, texts) if all(sequences):
                for text, sequence in zip(texts, sequences, strict=True):
                    yield text, (*before, *sequence, *behind)
            case NumberRange(low, high) if 0 <= low < high:
                for end in (low, high):
                    yield str(end), (*before, NumberRange(end, end), *behind)


def _leaves(elements: Elements) -> Iterator[Element]:
    """Every element; of alternatives, the elements inside."""
    for element in elements:
        if isinstance(element, Alternatives):
            for sequence in element.sequences:
                yield from _leaves(sequence)
        else:
            yield element


def _is_wildcard(element: Element) -> bool:
    if isinstance(element, NumberRange):
        return element.capture is not None or element.counts_back
    return not isinstance(element, Characters)


def _tells_digits_apart(element: Element) -> bool:
    match element:
        case Characters(text):
            return not _DIGITS.isdisjoint(text)
        case CharSet(ranges):
            return len({any(low <= digit <= high for low, high in ranges) for digit in _DIGITS}) > 1
        case NumberRange(capture=capture):
            return capture is None
    return False
