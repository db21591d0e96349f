"""What a sequence of elements matches, the cheapest test first."""

from __future__ import annotations

from typing import TYPE_CHECKING

from initctl.rules.elements import NO_NUMBERS, Alternatives, AnyRun, Characters, Subject, after

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from initctl.rules.elements import Element, Elements

MOST_ALTERNATIVES = 32
"""That are looked at one by one."""


class Matcher:
    """What some elements match. It looks first at how a name begins and ends, then for words between runs of any
    characters, and follows places from element to element only if there is more than that.
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
    """The sequences that they are without alternatives; if these are very many, `elements` as they are."""
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
    """Whether `words` follow each other in `name`, with anything around them."""
    for word in words:
        at = name.find(word, start, stop)
        if at < 0:
            return False
        start = at + len(word)
    return True


def _joined(elements: Elements) -> Iterator[Element]:
    """The same, with characters that follow each other in one."""
    text = ""
    for element in elements:
        if isinstance(element, Characters):
            text += element.text
            continue
        if text:
            yield Characters(text)
        text = ""
        yield element
    if text:
        yield Characters(text)
