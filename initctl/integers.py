"""Whole numbers from callers: Python's, NumPy's, and others that can be an index."""

from __future__ import annotations

import operator
from typing import SupportsIndex

from initctl.errors import Problem, UsageError, shown


def as_integer(value: object) -> int | None:
    """`value` as an int, if it is an integer of any type; None for a bool or a float."""
    is_bool = isinstance(value, bool) or str(getattr(value, "dtype", "")) == "bool"  # NumPy 2.0: an index, too
    if is_bool or not isinstance(value, SupportsIndex):
        return None
    try:
        return operator.index(value)
    except TypeError:  # an array of several
        return None


def counting(name: str, given: object) -> int | None:
    """The argument `name` as a whole number of 1 or more; None if it is None. Raises `UsageError`."""
    number = as_integer(given)
    if given is not None and (number is None or number < 1):
        raise UsageError(Problem(f"usage.{name}", f"{name}: {shown(given)} is not a whole number of 1 or more"))
    return number
