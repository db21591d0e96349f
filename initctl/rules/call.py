"""`name:key=value,key=value`: an initializer and its arguments."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from initctl.errors import Excerpt, Problem, RuleError, shown

_NUMBER = re.compile(r"[-+]?[0-9.]+(e[-+]?[0-9]+)?")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
_OPENING, _CLOSING = "([", ")]"


@dataclass(frozen=True, slots=True)
class Call:
    """An initializer by name, with its arguments as text, in the order written.

    `place` is the place of the name, and `places` are those of each argument's key and value, if all are in one text.
    """

    name: str
    arguments: tuple[tuple[str, str], ...] = ()
    place: Excerpt | None = field(default=None, compare=False, repr=False)
    places: Mapping[str, tuple[Excerpt, Excerpt]] = field(default_factory=dict, compare=False, repr=False)

    def __str__(self) -> str:
        arguments = ",".join(f"{key}={value}" for key, value in self.arguments)
        return f"{self.name}:{arguments}" if arguments else self.name


def parse_call(text: str | Excerpt) -> Call:
    """The call in `text`: `name` or `name:key=value,key=value`. Raises `RuleError`.

    A comma inside parentheses or brackets belongs to the value.
    """
    source = Excerpt.of(text)
    written, colon, given = str(source).partition(":")
    place = source.part(0, len(written)).stripped()
    name = str(place)
    if not _NAME.fullmatch(name):
        fault = f"{shown(name)} cannot be an initializer's name" if name else "the initializer is missing"
        raise syntax_error(fault, _hint(name), place)
    if colon and not given.strip():
        raise syntax_error("nothing after the ':'", f"write {name} alone, or {name}:key=value", place)
    places: dict[str, tuple[Excerpt, Excerpt]] = {}
    for argument in between_commas(source.part(len(written) + 1, len(str(source)))) if colon else ():
        key, value = _key_and_value(argument)
        if str(key) in places:
            raise syntax_error(f"parameter {key} is given twice", None, key)
        places[str(key)] = key, value
    return Call(name, tuple((key, str(value)) for key, (_, value) in places.items()), place, places)


def _hint(name: str) -> str:
    """A hint for `name`, which cannot be the name of an initializer."""
    if _NUMBER.fullmatch(name):
        return f"write constant:val={name}"
    if {".", "*"} & set(name.rpartition("=")[0]):  # a second pattern
        return "if these are two rules, give each its own -r"
    return "write where instead of if" if " if " in name else "write, for example, normal:std=0.02"


def _key_and_value(argument: Excerpt) -> tuple[Excerpt, Excerpt]:
    text = str(argument)
    if not text:
        raise syntax_error("there is an extra comma", "delete it", argument)
    equals = text.find("=")
    if equals >= 0:
        key, value = argument.part(0, equals).stripped(), argument.part(equals + 1, len(text)).stripped()
        if _NAME.fullmatch(str(key)) and str(value):
            return key, value
    hint = "write parameters as std=0.02, separated by commas"
    raise syntax_error(f"{shown(text)} is not key=value", hint, argument)


def between_commas(source: Excerpt) -> Iterator[Excerpt]:
    """The parts of `source` between commas outside of parentheses and brackets, each without surrounding blanks."""
    text, depth, start = str(source), 0, 0
    for at, char in enumerate(text):
        depth += (char in _OPENING) - (char in _CLOSING)
        if char == "," and depth <= 0:
            yield source.part(start, at).stripped()
            start = at + 1
    yield source.part(start, len(text)).stripped()


def syntax_error(message: str, hint: str | None, place: Excerpt) -> RuleError:
    """The error about the text at `place`."""
    return RuleError(Problem("rule.syntax", message, hint, place))
