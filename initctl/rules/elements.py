"""The elements of a pattern, and what each matches: from places in a name, the places after the element.

Places are the bits of one whole number, so an element advances all of them in one step: matching takes no more steps
than the pattern has elements.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property, reduce
from itertools import groupby, islice
from operator import or_
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from initctl.rules.candidates import ANYWHERE, BEGINNING, END, Anchor

if TYPE_CHECKING:
    Places = int
    """A set of places: bit n is the place before character n."""

LONGEST_NUMBER = 18
"""Digits of a number in a name, or of the bound of a range."""
MOST_NUMBERS = 64
"""The numbers in a name that a pattern considers at most."""
MOST_ALTERNATIVES = 32
"""The alternatives that are tried one by one at most."""
NO_NUMBERS: Mapping[str, int] = MappingProxyType({})
"""For names without a number."""
_NUMBER = re.compile(rf"(?<![0-9])[0-9]{{1,{LONGEST_NUMBER}}}(?![0-9])")


def numbers_in(name: str) -> dict[int, int]:
    """Where the first numbers of `name` begin and end: whole runs of digits of limited length."""
    return {found.start(): found.end() for found in islice(_NUMBER.finditer(name), MOST_NUMBERS)}


class Subject:
    """A name to match: `highest` is the highest number after each beginning of a name, and `pinned` says where the
    numbers of some captures must begin.
    """

    def __init__(self, name: str, highest: Mapping[str, int], pinned: Mapping[str, int]) -> None:
        self.name = name
        self.highest = highest
        self.pinned = pinned
        self.everywhere: Places = (2 << len(name)) - 1
        self._starts: dict[Characters | CharSet, Places] = {}

    @cached_property
    def numbers(self) -> dict[int, int]:
        return numbers_in(self.name)

    def starts(self, element: Characters | CharSet) -> Places:
        """Where `element` may begin. Equal elements are searched once."""
        if element not in self._starts:
            digits = bytearray(b"0") * (len(self.name) + 1)
            for at in element.found(self.name):
                digits[~at] = ord("1")
            self._starts[element] = int(digits, 2)
        return self._starts[element]


class Characters(NamedTuple):
    """These characters."""

    text: str

    def found(self, name: str) -> Iterator[int]:
        """Where it begins in `name`."""
        at = name.find(self.text)
        while at >= 0:
            yield at
            at = name.find(self.text, at + 1)

    def after(self, places: Places, subject: Subject) -> Places:
        return (places & subject.starts(self)) << len(self.text)


class CharSet(NamedTuple):
    """One character within (or, negated, outside) some inclusive ranges."""

    ranges: tuple[tuple[str, str], ...]
    negated: bool

    def found(self, name: str) -> Iterator[int]:
        """Where its characters are in `name`."""
        chars = {c for c in set(name) if any(low <= c <= high for low, high in self.ranges) != self.negated}
        return (at for at, char in enumerate(name) if char in chars)

    def after(self, places: Places, subject: Subject) -> Places:
        return (places & subject.starts(self)) << 1


class AnyChar(NamedTuple):
    """Any one character."""

    def after(self, places: Places, subject: Subject) -> Places:
        return places << 1 & subject.everywhere


class AnyRun(NamedTuple):
    """Any characters, or none."""

    def after(self, places: Places, subject: Subject) -> Places:
        return -(places & -places) & subject.everywhere  # the first place, and all after it


class NumberRange(NamedTuple):
    """A whole number, all of its digits, `low` ≤ n ≤ `high`; a negative bound counts back from the highest number.

    Without bounds it is any number, and `capture` is the name of the number.
    """

    low: int = 0
    high: int = -1
    capture: str | None = None

    @property
    def counts_back(self) -> bool:
        return self.capture is None and (self.low < 0 or self.high < 0)

    def after(self, places: Places, subject: Subject) -> Places:
        begins = subject.pinned.get(self.capture or "")
        found: Places = 0
        for start, stop in subject.numbers.items():
            if places >> start & 1 and begins in (None, start) and self._admits(subject, start, stop):
                found |= 1 << stop
        return found

    def _admits(self, subject: Subject, start: int, stop: int) -> bool:
        if self.capture is not None:
            return True
        number = int(subject.name[start:stop])
        highest = subject.highest.get(subject.name[:start], number)
        low, high = (bound if bound >= 0 else highest + 1 + bound for bound in (self.low, self.high))
        return low <= number <= high


class Alternatives(NamedTuple):
    """One of some sequences; `texts` are their texts."""

    sequences: tuple[Elements, ...]
    texts: tuple[str, ...]

    def after(self, places: Places, subject: Subject) -> Places:
        return reduce(or_, [after(elements, places, subject) for elements in self.sequences])


Element = Characters | CharSet | AnyChar | AnyRun | NumberRange | Alternatives
Elements = tuple[Element, ...]


def after(elements: Iterable[Element], places: Places, subject: Subject) -> Places:
    """The places after `elements`, one after the other, from `places`."""
    for element in elements:
        if not places:
            break
        places = element.after(places, subject)
    return places


class Matcher:
    """Matches names against elements. It compares the beginning and the end of a name first, then searches words
    between runs of any characters, and follows places from element to element only if that is not enough.
    """

    def __init__(self, elements: Elements) -> None:
        elements = tuple(_joined(elements))
        self._prefix = elements[0].text if elements and isinstance(elements[0], Characters) else ""
        elements = elements[bool(self._prefix) :]
        self._suffix = elements[-1].text if elements and isinstance(elements[-1], Characters) else ""
        self._between = elements[: len(elements) - bool(self._suffix)]
        self._words = [element.text for element in self._between if isinstance(element, Characters)]
        kinds = {type(element) for element in self._between}
        self._is_simple = AnyRun in kinds and kinds <= {AnyRun, Characters}

    @property
    def anchors(self) -> list[Anchor]:
        """What every name has that they match."""
        ends = Anchor(BEGINNING, self._prefix), Anchor(END, self._suffix)
        return [anchor for anchor in (*ends, *(Anchor(ANYWHERE, word) for word in self._words)) if anchor.text]

    def accepts(self, name: str, highest: Mapping[str, int], pinned: Mapping[str, int] = NO_NUMBERS) -> bool:
        """Whether they match the whole of `name`."""
        if not (name.startswith(self._prefix) and name.endswith(self._suffix)):
            return False
        start, stop = len(self._prefix), len(name) - len(self._suffix)
        if start > stop or not _has_words(name, self._words, start, stop):
            return False
        if self._is_simple:
            return True
        return bool(after(self._between, 1 << start, Subject(name, highest, pinned)) >> stop & 1)


def spelled_out(elements: Elements) -> list[Elements]:
    """`elements` as sequences without alternatives; if there are very many, just `elements`."""
    found: list[Elements] = [()]
    for element in elements:
        ways: list[Elements] = [(element,)]
        if isinstance(element, Alternatives):
            ways = [way for sequence in element.sequences for way in spelled_out(sequence)]
        if len(found) * len(ways) > MOST_ALTERNATIVES:
            return [elements]
        found = [(*before, *way) for before in found for way in ways]
    return found


def _has_words(name: str, words: Iterable[str], start: int, stop: int) -> bool:
    """Whether `words` follow each other in `name`, with any text around them."""
    for word in words:
        at = name.find(word, start, stop)
        if at < 0:
            return False
        start = at + len(word)
    return True


def _joined(elements: Elements) -> Iterator[Element]:
    """`elements` with neighboring characters joined."""
    for kind, run in groupby(elements, type):
        if kind is Characters:
            yield Characters("".join(element.text for element in run if isinstance(element, Characters)))
        else:
            yield from run
