"""Numbers on the command line, as they are written: decimal digits and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

from initctl.errors import Problem, UsageError, shown
from initctl.integers import counting

if TYPE_CHECKING:
    from collections.abc import Callable

_LONGEST = 20
"""Digits of 2^64."""


def parsed_seed(given: str | None) -> int | None:
    """A seed as it is written, if one is. Its range is checked where it is used."""
    if given is None:
        return None
    number = _digits(given)
    if not isinstance(number, int):
        raise UsageError(Problem("usage.seed", f"seed: {shown(given)} is not a whole number from 0 to 2^64 - 1"))
    return number


def count_parser(name: str) -> Callable[[str | None], int | None]:
    """What reads how many, for the option called `name`, if it is given."""
    return lambda given: None if given is None else counting(name, _digits(given))


def _digits(text: str) -> str | int:
    """The number that is written, or the text if it is not one."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= _LONGEST else text
