"""Whole numbers as callers have them: Python's, NumPy's, and others that can be an index."""

from __future__ import annotations

import operator
from typing import SupportsIndex

from initctl.errors import Problem, UsageError, shown


def as_integer(value: object) -> int | None:
    """`value` as an int, if it is a whole number of any kind: a bool is not, nor is a float."""
    is_bool = isinstance(value, bool) or str(getattr(value, "dtype", "")) == "bool"  # NumPy 2.0 takes its own
    if is_bool or not isinstance(value, SupportsIndex):
        return None
    try:
        return operator.index(value)
    except TypeError:  # as an array of several
        return None


def counting(name: str, given: object) -> int | None:
    """How many, if a caller says it for `name`: a whole number of 1 or more. Raises `UsageError`."""
    number = as_integer(given)
    if given is not None and (number is None or number < 1):
        raise UsageError(Problem(f"usage.{name}", f"{name}: {shown(given)} is not a whole number of 1 or more"))
    return number
