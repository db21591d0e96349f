"""Warnings at the line of the caller."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterable
from typing import TYPE_CHECKING, cast

from initctl.errors import InitctlWarning, Problem

if TYPE_CHECKING:
    from types import FrameType

_PACKAGE = __name__.partition(".")[0]


def warn(problems: Iterable[Problem]) -> None:
    """Issue a warning for each of `problems`, at the line of the caller outside of this package."""
    for problem in problems:
        level, frame = 1, cast("FrameType | None", sys._getframe())  # noqa: SLF001 - as Python's own warnings do
        while frame and frame.f_globals.get("__name__", "").partition(".")[0] == _PACKAGE:
            level, frame = level + 1, frame.f_back
        warnings.warn(problem.in_python(), InitctlWarning, stacklevel=level)
