"""The types a parameter of an initializer can have: each parses its text, and checks what an expression comes to."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Protocol

from initctl.errors import Problem, RuleError, shown
from initctl.rules import Expression, Undefined, parse_expression
from initctl.rules import Value as Computed
from initctl.suggestions import did_you_mean

_SPAN = re.compile(r"(-?[0-9]{1,18})?:(-?[0-9]{1,18})?")
LAYOUT_LETTERS = {"o": "out", "i": "in", "k": "kernel", "b": "batch"}
"""What a layout says of a dim: see `initctl.initializers.fans`."""

Value = int | float | str

_PROPORTIONS = re.compile(r"[1-9][0-9]{0,17}(:[1-9][0-9]{0,17})*")


class ParameterType(Protocol):
    """Parses an argument's text."""

    @property
    def accepts(self) -> str:
        """What it accepts, in words."""

    def parse(self, text: str) -> Value | Expression:
        """The value that `text` writes, or an expression whose value depends on the tensor. Raises `RuleError`."""

    def check(self, value: Computed) -> Value:
        """`value`, which an expression has come to. Raises `RuleError` where it is not accepted."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """A named parameter. Without a default it must be given, unless it is optional: then None stands for absent.

    Optional ones, with a default or not, are seldom needed: the list of initializers leaves them out.
    """

    name: str
    type: ParameterType
    default: Value | None = None
    optional: bool = False

    @property
    def required(self) -> bool:
        return self.default is None and not self.optional


@dataclass(frozen=True, slots=True)
class Number:
    """A finite real number, `minimum` ≤ x ≤ `maximum`, and more than `above`."""

    minimum: float = -math.inf
    maximum: float = math.inf
    above: float = -math.inf

    @property
    def accepts(self) -> str:
        if not math.isinf(self.above):
            return f"a number above {self.above:g}"
        return "a number" + _range(self.minimum, self.maximum)

    def parse(self, text: str) -> Value | Expression:
        return _parsed(text, self)

    def check(self, value: Computed) -> Value:
        if isinstance(value, (bool, str, tuple)) or not (self.minimum <= value <= self.maximum and self.above < value):
            raise _refused(value, self.accepts)
        return value


@dataclass(frozen=True, slots=True)
class Whole:
    """A whole number, `minimum` or more. One that is computed may be a float: `config.heads / 2`."""

    minimum: int = 1

    @property
    def accepts(self) -> str:
        return "a whole number" + _range(self.minimum, math.inf)

    def parse(self, text: str) -> Value | Expression:
        return _parsed(text, self)

    def check(self, value: Computed) -> Value:
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if type(value) is not int or value < self.minimum:
            raise _refused(value, self.accepts)
        return value


@dataclass(frozen=True, slots=True)
class Word:
    """One of some words."""

    choices: tuple[str, ...]

    @property
    def accepts(self) -> str:
        return "one of " + ", ".join(self.choices)

    def parse(self, text: str) -> Value:
        return self.check(text)

    def check(self, value: Computed) -> Value:
        if value not in self.choices:
            raise _refused(value, self.accepts, did_you_mean(str(value), self.choices))
        return str(value)


@dataclass(frozen=True, slots=True)
class Layout:
    """What each dim of a tensor stands for: see `initctl.initializers.fans`."""

    @property
    def accepts(self) -> str:
        return "one letter a dim: " + ", ".join(f"{letter} {word}" for letter, word in LAYOUT_LETTERS.items())

    def parse(self, text: str) -> Value:
        return self.check(text)

    def check(self, value: Computed) -> Value:
        if not set("oi") <= set(str(value)) <= set(LAYOUT_LETTERS):
            raise _refused(value, self.accepts, "a layout has at least an o and an i, for instance oi, io, boi, oikk")
        return str(value)


@dataclass(frozen=True, slots=True)
class Split:
    """The parts of a fused weight: see `initctl.initializers.fans`."""

    @property
    def accepts(self) -> str:
        return "a number of equal parts, or their sizes in proportion"

    def parse(self, text: str) -> Value:
        return self.check(text)

    def check(self, value: Computed) -> Value:
        if not _PROPORTIONS.fullmatch(str(value)):
            raise _refused(value, self.accepts, "write for instance 3, or 4:1:1")
        return str(value)


_NO_NAMES: dict[str, Computed] = {}


def _range(minimum: float, maximum: float) -> str:
    if math.isinf(maximum):
        return "" if math.isinf(minimum) else f" of {minimum:g} or more"
    return f" from {minimum:g} to {maximum:g}"


@dataclass(frozen=True, slots=True)
class Text:
    """Any text; `accepts` says what it stands for."""

    accepts: str

    def parse(self, text: str) -> Value:
        return text

    def check(self, value: Computed) -> Value:
        return str(value)


@dataclass(frozen=True, slots=True)
class Span:
    """`a:b` as in Python: numbers that count from the end where they are negative, and may be left out."""

    @property
    def accepts(self) -> str:
        return "a:b, as in Python, in which either may be left out"

    def parse(self, text: str) -> Value:
        return self.check(text)

    def check(self, value: Computed) -> Value:
        if not _SPAN.fullmatch(str(value)):
            raise _refused(value, self.accepts)
        return str(value)


def _parsed(text: str, kind: ParameterType) -> Value | Expression:
    """An expression, or its value where it is the same for every tensor."""
    expression = parse_expression(text)
    if expression.names:
        return expression
    try:
        value = expression.value(_NO_NAMES.__getitem__)
    except Undefined as fact:
        place = expression.excerpt(fact.start, fact.stop)
        raise RuleError(Problem("rule.value", f"{shown(text)}: {fact}", None, place)) from None
    try:
        return kind.check(value)
    except RuleError:
        raise _refused(text, kind.accepts) from None


def _refused(value: Computed, accepts: str, hint: str | None = None) -> RuleError:
    return RuleError(Problem("rule.value", f"{shown(value)} is not {accepts}", hint))
