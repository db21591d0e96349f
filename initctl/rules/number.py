"""The text of a number: plain ASCII decimals, so that nothing odd is taken for a number by accident."""

from __future__ import annotations

import math
import re

from initctl.errors import Excerpt, Problem, RuleError, shown

LONGEST_NUMBER = 400
"""Characters; more than any float64 needs written out in full."""

_DECIMAL = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_INTEGER = re.compile(r"[+-]?[0-9]+")


def parse_number(source: str | Excerpt) -> int | float:
    """The number that is written there: an int if it has neither point nor exponent, else a float.

    Stricter than `float`: no `nan`, no `inf`, no underscores, no digits of other scripts, nothing that overflows to
    infinity or that is not zero and becomes it. Raises `RuleError`.
    """
    place = Excerpt.of(source)
    text = str(place)
    if len(text) > LONGEST_NUMBER or not _DECIMAL.fullmatch(text):
        raise _error(f"{shown(text)} is not a number", "write a decimal such as 0.02 or 1e-5", place)
    value = float(text)
    if math.isinf(value):
        raise _error(f"{shown(text)} overflows: the largest number is about 1.8e308", None, place)
    if value == 0 and re.search("[1-9]", re.split("[eE]", text)[0]):
        raise _error(f"{shown(text)} underflows to 0", "write 0 if that is meant", place)
    return int(text) if _INTEGER.fullmatch(text) else value


def _error(message: str, hint: str | None, place: Excerpt) -> RuleError:
    return RuleError(Problem("rule.number", message, hint, place))
