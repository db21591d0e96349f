"""Numbers on the command line, as they are written: decimal digits and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

from initctl.errors import Problem, UsageError, shown
from initctl.integers import counting

if TYPE_CHECKING:
    from collections.abc import Callable

_LONGEST = 20
"""Digits of 2^64."""


def parsed_seed(given: str | int) -> int:
    """A seed as it is written, or the default, a number already. Its range is checked where it is used."""
    number = _digits(given)
    if not isinstance(number, int):
        raise UsageError(Problem("usage.seed", f"seed: {shown(given)} is not a whole number from 0 to 2^64 - 1"))
    return number


def count_parser(name: str) -> Callable[[str | int], int]:
    """What reads how many, for the option called `name`."""
    return lambda given: counting(name, _digits(given))


def _digits(given: str | int) -> str | int:
    """The number that is written, or the text if it is not one."""
    text = str(given)
    return int(text) if text.isascii() and text.isdigit() and len(text) <= _LONGEST else text
