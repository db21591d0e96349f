"""Whole numbers as callers have them: Python's, NumPy's, and others that can be an index."""

from __future__ import annotations

import operator
from typing import SupportsIndex


def as_integer(value: object) -> int | None:
    """`value` as an int, if it is a whole number of any kind: a bool is not, nor is a float."""
    if isinstance(value, bool) or not isinstance(value, SupportsIndex):
        return None
    try:
        return operator.index(value)
    except TypeError:  # as an array of several, or numpy.bool
        return None
