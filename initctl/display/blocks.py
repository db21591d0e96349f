"""Numbers as a line of blocks, each as high as its number is large; or as ASCII, if a terminal has no blocks."""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from collections.abc import Sequence

    from initctl.display.tables import Report

BLOCKS = " ▁▂▃▄▅▆▇█"
"""From nothing to the largest number."""
_ASCII = str.maketrans(BLOCKS, " .:-=+*#@")


def blocks(values: Sequence[float]) -> str:
    """A block for each of `values`, none of them negative: what is not 0 can be seen."""
    largest = max(values, default=0)
    return "".join(BLOCKS[_height(value, largest)] for value in values)


def _height(value: float, largest: float) -> int:
    levels = len(BLOCKS) - 1
    if not value or value == largest:  # both may be infinite
        return levels if value else 0
    return max(ceil(levels * (value / largest)), 1)


def for_stream(report: Report, stream: TextIO) -> Report:
    """`report` with ASCII in cells of blocks that `stream` cannot write; names of blocks stay."""
    try:
        BLOCKS.encode(stream.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return [part if isinstance(part, str) else part._replace(rows=[*map(_in_ascii, part.rows)]) for part in report]
    return report


def _in_ascii(row: Sequence[str]) -> list[str]:
    first, *others = row
    return [first, *(cell if cell.strip(BLOCKS) else cell.translate(_ASCII) for cell in others)]
