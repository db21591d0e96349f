"""The types a parameter of an initializer can have: each parses its text and says what it accepts."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Protocol

from initctl.errors import Problem, RuleError, shown
from initctl.rules import parse_number

LAYOUT_LETTERS = {"o": "out", "i": "in", "k": "kernel", "b": "batch"}
"""What a layout says of a dim: see `initctl.initializers.fans`."""

Value = int | float | str

_PROPORTIONS = re.compile(r"[1-9][0-9]{0,17}(:[1-9][0-9]{0,17})*")


class ParameterType(Protocol):
    """Parses an argument's text."""

    @property
    def accepts(self) -> str:
        """What it accepts, in words."""

    def parse(self, text: str) -> Value:
        """The value that `text` writes. Raises `RuleError`."""


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

    def parse(self, text: str) -> Value:
        value = parse_number(text)
        if not (self.minimum <= value <= self.maximum and self.above < value):
            raise _refused(text, self.accepts)
        return value


@dataclass(frozen=True, slots=True)
class Whole:
    """A whole number, `minimum` or more."""

    minimum: int = 1

    @property
    def accepts(self) -> str:
        return "a whole number" + _range(self.minimum, math.inf)

    def parse(self, text: str) -> Value:
        value = parse_number(text)
        if not isinstance(value, int) or value < self.minimum:
            raise _refused(text, self.accepts)
        return value


@dataclass(frozen=True, slots=True)
class Word:
    """One of some words."""

    choices: tuple[str, ...]

    @property
    def accepts(self) -> str:
        return "one of " + ", ".join(self.choices)

    def parse(self, text: str) -> Value:
        if text not in self.choices:
            nearest = get_close_matches(text, self.choices, n=1)
            raise _refused(text, self.accepts, f"did you mean {nearest[0]}?" if nearest else None)
        return text


@dataclass(frozen=True, slots=True)
class Layout:
    """What each dim of a tensor stands for: see `initctl.initializers.fans`."""

    @property
    def accepts(self) -> str:
        return "one letter a dim: " + ", ".join(f"{letter} {word}" for letter, word in LAYOUT_LETTERS.items())

    def parse(self, text: str) -> Value:
        if not set("oi") <= set(text) <= set(LAYOUT_LETTERS):
            raise _refused(text, self.accepts, "a layout has at least an o and an i, for instance oi, io, boi, oikk")
        return text


@dataclass(frozen=True, slots=True)
class Split:
    """The parts of a fused weight: see `initctl.initializers.fans`."""

    @property
    def accepts(self) -> str:
        return "a number of equal parts, or their sizes in proportion"

    def parse(self, text: str) -> Value:
        if not _PROPORTIONS.fullmatch(text):
            raise _refused(text, self.accepts, "write for instance 3, or 4:1:1")
        return text


def _range(minimum: float, maximum: float) -> str:
    if math.isinf(maximum):
        return "" if math.isinf(minimum) else f" of {minimum:g} or more"
    return f" from {minimum:g} to {maximum:g}"


def _refused(text: str, accepts: str, hint: str | None = None) -> RuleError:
    return RuleError(Problem("rule.value", f"{shown(text)} is not {accepts}", hint))
