"""`name:key=value,key=value`: an initializer and its arguments."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from initctl.errors import Excerpt, Problem, RuleError, shown

_NUMBER = re.compile(r"[-+]?[0-9.]+(e[-+]?[0-9]+)?")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
_OPENING, _CLOSING = "([", ")]"
MEANT: Mapping[str, tuple[str, *tuple[tuple[str, ...], ...]]] = {
    **dict.fromkeys(("constant", "const", "fill"), ("constant", ("val",))),
    "normal": ("normal", ("std",), ("mean", "std")),
    "trunc_normal": ("trunc_normal", ("std",), ("mean", "std")),
    "uniform": ("uniform", ("a", "b")),
    "kaiming_normal": ("kaiming_normal", ("nonlinearity",)),
    "kaiming_uniform": ("kaiming_uniform", ("nonlinearity",)),
    "xavier_normal": ("xavier_normal", ("gain",)),
    "xavier_uniform": ("xavier_uniform", ("gain",)),
    "orthogonal": ("orthogonal", ("gain",)),
    "scale": ("scale", ("by",)),
    "copy": ("copy", ("from",)),
}
"""Names that values without keys follow: the initializer, and the keys that one value, or two, may have there."""


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
    values = list(between_commas(source.part(len(written) + 1, len(str(source))))) if colon else []
    for argument in values:
        key, value = _key_and_value(argument, name, values)
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


def _key_and_value(argument: Excerpt, name: str, values: Sequence[Excerpt]) -> tuple[Excerpt, Excerpt]:
    """The key and the value in `argument`, one of all `values` of the initializer `name`."""
    text = str(argument)
    if not text:
        raise syntax_error("there is an extra comma", "delete it", argument)
    equals = text.find("=")
    if equals >= 0:
        key, value = argument.part(0, equals).stripped(), argument.part(equals + 1, len(text)).stripped()
        if _NAME.fullmatch(str(key)) and str(value):
            return key, value
    hint = f"write {_with_keys(name, values) or 'parameters as std=0.02, separated by commas'}"
    raise syntax_error(f"{shown(text)} is not key=value", hint, argument)


def _with_keys(name: str, values: Sequence[Excerpt]) -> str | None:
    """The call that `name` with `values` may mean, if none of them has a key."""
    initializer, *forms = MEANT.get(name, (name,))
    keys = next((keys for keys in forms if len(keys) == len(values)), ())
    if not keys or any("=" in str(value) or str(value) in ("", *keys) for value in values):
        return None
    return shown(str(Call(initializer, tuple(zip(keys, map(str, values), strict=True)))))


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
