"""`name:key=value,key=value`: what tensors are filled with."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from initctl.errors import Excerpt, Problem, RuleError, shown

if TYPE_CHECKING:
    from collections.abc import Iterator

_NUMBER = re.compile(r"[-+]?[0-9.]+(e[-+]?[0-9]+)?")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
_OPENING, _CLOSING = "([", ")]"


@dataclass(frozen=True, slots=True)
class Call:
    """An initializer by name, with its arguments as text, in the order written.

    `places` are where the name stands, and then each argument's key and value, if they stand in a text.
    """

    name: str
    arguments: tuple[tuple[str, str], ...] = ()
    places: tuple[Excerpt, ...] = field(default=(), compare=False, repr=False)

    def __str__(self) -> str:
        arguments = ",".join(f"{key}={value}" for key, value in self.arguments)
        return f"{self.name}:{arguments}" if arguments else self.name

    @property
    def place(self) -> Excerpt | None:
        """Where the name stands."""
        return self.places[0] if self.places else None

    def key_place(self, key: str) -> Excerpt | None:
        """Where the argument's key stands."""
        return self._place(key, 1)

    def value_place(self, key: str) -> Excerpt | None:
        """Where the argument's value stands."""
        return self._place(key, 2)

    def _place(self, key: str, offset: int) -> Excerpt | None:
        number = next((n for n, (name, _) in enumerate(self.arguments) if name == key), None)
        return self.places[2 * number + offset] if self.places and number is not None else None

    def inside(self, text: str, offset: int) -> Call:
        """The same call as a part of `text`, from `offset` on."""
        return replace(self, places=tuple(place.moved(text, offset) for place in self.places))


def parse_call(text: str) -> Call:
    """The call that `text` writes: `name` or `name:key=value,key=value`. Raises `RuleError`.

    A comma inside parentheses or brackets belongs to the value.
    """
    end = text.find(":") if ":" in text else len(text)
    name = _stripped(text, 0, end)
    if not _NAME.fullmatch(_text(name)):
        fault = f"{shown(_text(name))} cannot be an initializer's name" if _text(name) else "no initializer is given"
        is_number = _NUMBER.fullmatch(_text(name))
        raise _error(
            fault, f"write constant:val={_text(name)}" if is_number else "write for instance normal:std=0.02", name
        )
    arguments: list[tuple[str, str]] = []
    places = [name]
    for start, stop in _between_commas(text, end + 1) if end < len(text) else ():
        if not text[end + 1 :].strip():
            raise _error("nothing after the ':'", f"write {_text(name)} alone, or {_text(name)}:key=value", name)
        key, value = _argument(text, start, stop)
        if _text(key) in dict(arguments):
            raise _error(f"parameter {_text(key)} is given twice", None, key)
        arguments.append((_text(key), _text(value)))
        places += key, value
    return Call(_text(name), tuple(arguments), tuple(places))


def _argument(text: str, start: int, stop: int) -> tuple[Excerpt, Excerpt]:
    """Where key and value stand between `start` and `stop`."""
    equals = text.find("=", start, stop)
    if equals >= 0:
        key, value = _stripped(text, start, equals), _stripped(text, equals + 1, stop)
        if _NAME.fullmatch(_text(key)) and _text(value):
            return key, value
    whole = _stripped(text, start, stop)
    hint = "write for instance std=0.02, parameters separated by commas"
    raise _error(f"{shown(_text(whole))} is not key=value", hint, whole)


def _between_commas(text: str, start: int) -> Iterator[tuple[int, int]]:
    depth = 0
    for at in range(start, len(text)):
        depth += (text[at] in _OPENING) - (text[at] in _CLOSING)
        if text[at] == "," and depth <= 0:
            yield start, at
            start = at + 1
    yield start, len(text)


def _stripped(text: str, start: int, stop: int) -> Excerpt:
    """What stands between `start` and `stop`, without the blanks around it."""
    part = text[start:stop]
    begin = start + len(part) - len(part.lstrip())
    return Excerpt(text, begin, begin + len(part.strip()))


def _text(place: Excerpt) -> str:
    return place.text[place.start : place.stop]


def _error(message: str, hint: str | None, place: Excerpt) -> RuleError:
    return RuleError(Problem("rule.syntax", message, hint, place))
