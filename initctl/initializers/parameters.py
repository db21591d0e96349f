"""Parameters of initializers, and the types that they can have: each checks a value, given or computed."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, NamedTuple, Protocol

from initctl.errors import Problem, RuleError, shown
from initctl.rules import Undefined, parse_expression
from initctl.suggestions import did_you_mean

if TYPE_CHECKING:
    from initctl.errors import Excerpt
    from initctl.rules import Expression, Value

_SLICE = re.compile(r"(-?[0-9]{1,18})?:(-?[0-9]{1,18})?")
LAYOUT_LETTERS = {"o": "out", "i": "in", "k": "kernel", "b": "batch"}
"""What a layout says of a dim: see `initctl.initializers.fans`."""

Argument = int | float | str
_PROPORTIONS = re.compile(r"[1-9][0-9]{0,17}(:[1-9][0-9]{0,17})*")


class Refused(Exception):  # noqa: N818 - a fact that becomes an error with the place, or with the tensor
    """A value that a parameter does not accept; the message says why and, if there is a `hint`, what to do."""

    def __init__(self, value: Value, accepts: str, hint: str | None = None) -> None:
        super().__init__(f"{shown(value)} is not {accepts}" + (f"; {hint}" if hint else ""))
        self.hint = hint


class ParameterType(Protocol):
    """What a parameter accepts. Numbers are written as expressions, all else as its own text."""

    @property
    def accepts(self) -> str:
        """What it accepts, in words."""

    def check(self, value: Value) -> Argument:
        """`value`, which an expression has or a text is. Raises `Refused` if it is not accepted."""


class Parameter(NamedTuple):
    """A named parameter. Without a default it must be given, unless it is optional: then None stands for absent.

    Optional ones, with a default or not, are seldom needed: the list of initializers leaves them out.
    """

    name: str
    type: ParameterType
    default: Argument | None = None
    optional: bool = False

    @property
    def required(self) -> bool:
        return self.default is None and not self.optional

    def parse(self, text: str, place: Excerpt | None = None) -> Argument | Expression:
        """The value that `text` writes, or an expression whose value depends on the tensor. `place` is where it is
        written, if that is in a longer text. Raises `RuleError`.
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
            raise RuleError(Problem("rule.value", message, fact.hint, place)) from None


class Number(NamedTuple):
    """A finite real number, `minimum` ≤ x ≤ `maximum`, and more than `above`."""

    minimum: float = -math.inf
    maximum: float = math.inf
    above: float = -math.inf

    @property
    def accepts(self) -> str:
        if not math.isinf(self.above):
            return f"a number above {self.above:g}"
        return "a number" + _range(self.minimum, self.maximum)

    def check(self, value: Value) -> Argument:
        if isinstance(value, (bool, str, tuple)) or not (self.minimum <= value <= self.maximum and self.above < value):
            raise Refused(value, self.accepts)
        return value


class Whole(NamedTuple):
    """A whole number, `minimum` or more. One that is computed may be a float: `config.heads / 2`."""

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
    """One of some words."""

    choices: tuple[str, ...]

    @property
    def accepts(self) -> str:
        return "one of " + ", ".join(self.choices)

    def check(self, value: Value) -> Argument:
        if value not in self.choices:
            raise Refused(value, self.accepts, did_you_mean(str(value), self.choices))
        return str(value)


class DimLetters(NamedTuple):
    """What each dim of a tensor stands for: see `initctl.initializers.fans`."""

    @property
    def accepts(self) -> str:
        return "one letter a dim: " + ", ".join(f"{letter} {word}" for letter, word in LAYOUT_LETTERS.items())

    def check(self, value: Value) -> Argument:
        if not set("oi") <= set(str(value)) <= set(LAYOUT_LETTERS):
            raise Refused(value, self.accepts, "a layout has at least an o and an i, for instance oi, io, boi, oikk")
        return str(value)


class Split(NamedTuple):
    """The parts of a fused weight: see `initctl.initializers.fans`."""

    @property
    def accepts(self) -> str:
        return "a number of equal parts, or their sizes in proportion"

    def check(self, value: Value) -> Argument:
        if not _PROPORTIONS.fullmatch(str(value)):
            raise Refused(value, self.accepts, "write for instance 3, or 4:1:1")
        return str(value)


_NO_NAMES: dict[str, Value] = {}


def _range(minimum: float, maximum: float) -> str:
    if math.isinf(maximum):
        return "" if math.isinf(minimum) else f" of {minimum:g} or more"
    return f" from {minimum:g} to {maximum:g}"


class Text(NamedTuple):
    """Any text; `accepts` says what it stands for."""

    accepts: str

    def check(self, value: Value) -> Argument:
        return str(value)


class Slice(NamedTuple):
    """`a:b` as in Python: numbers that count from the end if they are negative, and may be left out."""

    @property
    def accepts(self) -> str:
        return "a:b, as in Python, in which either may be left out"

    def check(self, value: Value) -> Argument:
        if not _SLICE.fullmatch(str(value)):
            raise Refused(value, self.accepts)
        return str(value)
