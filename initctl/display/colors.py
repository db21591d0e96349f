"""Whether anybody wants colors, and what they mean: few, and of the terminal itself, which fit dark and light ones."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import TextIO

HEADING = "bold"
DIM = "dim"
"""What stays as it is, and what is said besides."""
GOOD, WARNED, BAD = "green", "yellow", "red"


def has_colors(stream: TextIO) -> bool:
    """Whether `stream` gets colors: a terminal that knows any, or whatever there is under FORCE_COLOR; never under
    NO_COLOR.
    """
    if os.environ.get("NO_COLOR"):
        return False
    return bool(os.environ.get("FORCE_COLOR")) or (stream.isatty() and os.environ.get("TERM") != "dumb")
