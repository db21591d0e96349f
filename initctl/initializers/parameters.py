"""Parameters of initializers, and their types, which check values, given or computed."""

from __future__ import annotations

import math
import re
from typing import NamedTuple

from initctl.errors import Excerpt, Problem, RuleError, shown
from initctl.rules import Expression, Undefined, Value, parse_expression
from initctl.rules.expressions.meant import COMMAS
from initctl.suggestions import did_you_mean

Argument = int | float | str


class Refused(Exception):  # noqa: N818 - a fact that becomes an error with the place, or with the tensor
    """A value that a parameter does not accept; the message says why and, if there is a `hint`, what to do."""

    def __init__(self, value: Value, accepts: str, hint: str | None = None) -> None:
        super().__init__(f"{shown(value)} is not {accepts}" + (f"; {hint}" if hint else ""))
        self.hint = hint


class Parameter(NamedTuple):
    """A named parameter. Without a default it must be given, unless it is optional: then None means absent.

    Optional ones are seldom needed: the list of initializers leaves them out.
    """

    name: str
    type: ParameterType
    default: Argument | None = None
    optional: bool = False

    @property
    def required(self) -> bool:
        return self.default is None and not self.optional

    def parse(self, text: str, place: Excerpt | None = None) -> Argument | Expression:
        """The value in `text`, or an expression whose value depends on the tensor. `place` is its place, if it is
        part of a longer text. Raises `RuleError`.
        """
        if not isinstance(self.type, Number | Whole):
            return self._checked(text, text, place)
        expression = parse_expression(place or text)
        if expression.names:
            return expression
        try:
            return self._checked(expression.value(_NO_NAMES.__getitem__), text, place)
        except Undefined as fact:
            raise RuleError(Problem("rule.value", f"{shown(text)}: {fact}", None, fact.excerpt)) from None

    def _checked(self, value: Value, text: str, place: Excerpt | None) -> Argument:
        try:
            return self.type.check(value)
        except Refused as fact:
            message = f"{shown(text)} is not {self.type.accepts}"
            hint = COMMAS if _SECOND.search(text) else fact.hint
            raise RuleError(Problem("rule.value", message, hint, place)) from None


class Number(NamedTuple):
    """A finite real number, `minimum` ≤ x ≤ `maximum`, more than `above` and less than `below`."""

    minimum: float = -math.inf
    maximum: float = math.inf
    above: float = -math.inf
    below: float = math.inf

    @property
    def accepts(self) -> str:
        if not math.isinf(self.above):
            return f"a number above {self.above:g}" + ("" if math.isinf(self.below) else f" and below {self.below:g}")
        return "a number" + _range(self.minimum, self.maximum)

    def check(self, value: Value) -> Argument:
        if isinstance(value, (bool, str, tuple)) or not self._holds(value):
            raise Refused(value, self.accepts)
        return value

    def _holds(self, value: float) -> bool:
        return self.minimum <= value <= self.maximum and self.above < value < self.below


class Whole(NamedTuple):
    """A whole number, `minimum` or more. A computed one may be a float: `config.heads / 2`."""

    minimum: int = 1

    @property
    def accepts(self) -> str:
        return "a whole number" + _range(self.minimum, math.inf)

    def check(self, value: Value) -> Argument:
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if type(value) is not int or value < self.minimum:
            raise Refused(value, self.accepts)
        return value


class Word(NamedTuple):
    choices: tuple[str, ...]

    @property
    def accepts(self) -> str:
        return "one of " + ", ".join(self.choices)

    def check(self, value: Value) -> Argument:
        if value not in self.choices:
            raise Refused(value, self.accepts, did_you_mean(str(value), self.choices))
        return str(value)


class Text(NamedTuple):
    """A text that matches `pattern`; `accepts` describes it, and `hint` says how to write it."""

    accepts: str
    pattern: str = "(?s:.*)"
    hint: str | None = None

    def check(self, value: Value) -> Argument:
        if not re.fullmatch(self.pattern, str(value)):
            raise Refused(value, self.accepts, self.hint)
        return str(value)


ParameterType = Number | Whole | Word | Text
"""The type of a parameter. Numbers are written as expressions, other values as text.

`accepts` describes in words what it accepts. `check` returns an accepted value, and raises `Refused` for others.
"""

LAYOUT = Text(
    "one letter a dim: o out, i in, k kernel, b batch",
    "(?=.*o)(?=.*i)[oikb]+",
    "a layout has at least an o and an i, for example oi, io, boi, oikk",
)
"""The meaning of each dim of a tensor: see `initctl.initializers.fans`."""
SPLIT = Text(
    "a number of equal parts, or their sizes in proportion",
    "[1-9][0-9]{0,17}(:[1-9][0-9]{0,17})*",
    "write, for example, 3 or 4:1:1",
)
"""The parts of a fused weight: see `initctl.initializers.fans`."""
SLICE = Text("a slice a:b as in Python, with a and b optional", "(-?[0-9]{1,18})?:(-?[0-9]{1,18})?")
"""Negative numbers count from the end."""

_SECOND = re.compile(r":[\w\s.-]+=")
"""A second parameter behind a colon."""
_NO_NAMES: dict[str, Value] = {}


def _range(minimum: float, maximum: float) -> str:
    if math.isinf(maximum):
        return "" if math.isinf(minimum) else f" of {minimum:g} or more"
    return f" from {minimum:g} to {maximum:g}"
