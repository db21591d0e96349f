"""`name:key=value,key=value`: what tensors are filled with."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
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

    `places` are those of the name, and then of each argument's key and value, if they are written in one text.
    """

    name: str
    arguments: tuple[tuple[str, str], ...] = ()
    places: tuple[Excerpt, ...] = field(default=(), compare=False, repr=False)

    def __str__(self) -> str:
        arguments = ",".join(f"{key}={value}" for key, value in self.arguments)
        return f"{self.name}:{arguments}" if arguments else self.name

    @property
    def place(self) -> Excerpt | None:
        """That of the name."""
        return self.places[0] if self.places else None

    def key_place(self, key: str) -> Excerpt | None:
        """That of the argument's key."""
        return self._place(key, 1)

    def value_place(self, key: str) -> Excerpt | None:
        """That of the argument's value."""
        return self._place(key, 2)

    def _place(self, key: str, offset: int) -> Excerpt | None:
        number = next((n for n, (name, _) in enumerate(self.arguments) if name == key), None)
        return self.places[2 * number + offset] if self.places and number is not None else None


def parse_call(text: str | Excerpt) -> Call:
    """The call that `text` writes: `name` or `name:key=value,key=value`. Raises `RuleError`.

    A comma inside parentheses or brackets belongs to the value.
    """
    source = Excerpt.of(text)
    written, colon, given = str(source).partition(":")
    place = source.part(0, len(written)).stripped()
    name = str(place)
    if not _NAME.fullmatch(name):
        fault = f"{shown(name)} cannot be an initializer's name" if name else "no initializer is given"
        is_number = _NUMBER.fullmatch(name)
        raise _error(fault, f"write constant:val={name}" if is_number else "write for instance normal:std=0.02", place)
    if colon and not given.strip():
        raise _error("nothing after the ':'", f"write {name} alone, or {name}:key=value", place)
    arguments: dict[str, str] = {}
    places = [place]
    for argument in _between_commas(source, len(written) + 1) if colon else ():
        key, value = _key_and_value(argument)
        if str(key) in arguments:
            raise _error(f"parameter {key} is given twice", None, key)
        arguments[str(key)] = str(value)
        places += key, value
    return Call(name, tuple(arguments.items()), tuple(places))


def _key_and_value(argument: Excerpt) -> tuple[Excerpt, Excerpt]:
    text = str(argument)
    equals = text.find("=")
    if equals >= 0:
        key, value = argument.part(0, equals).stripped(), argument.part(equals + 1, len(text)).stripped()
        if _NAME.fullmatch(str(key)) and str(value):
            return key, value
    hint = "write for instance std=0.02, parameters separated by commas"
    raise _error(f"{shown(text)} is not key=value", hint, argument)


def _between_commas(source: Excerpt, start: int) -> Iterator[Excerpt]:
    """The parts from `start` on, each without the blanks around it."""
    text, depth = str(source), 0
    for at in range(start, len(text)):
        depth += (text[at] in _OPENING) - (text[at] in _CLOSING)
        if text[at] == "," and depth <= 0:
            yield source.part(start, at).stripped()
            start = at + 1
    yield source.part(start, len(text)).stripped()


def _error(message: str, hint: str | None, place: Excerpt) -> RuleError:
    return RuleError(Problem("rule.syntax", message, hint, place))
