"""Numbers as a line of blocks, each as high as its number is large, and an arrow between two; ASCII for a terminal that
lacks them.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from initctl.display.tables import Listing, Report

ARROW = " → "
"""From what was to what is."""
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
    """`report` with ASCII for the blocks and arrows between numbers that `stream` cannot write; names of them stay."""
    try:
        f"{BLOCKS}{ARROW}".encode(stream.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return [part if isinstance(part, str) else _in_ascii(part) for part in report]
    return report


def _in_ascii(listing: Listing) -> Listing:
    change = [_arrows if name in listing.right else _blocks for name in listing.heading[1:]]
    rows = ([first, *(to(cell) for to, cell in zip(change, others, strict=True))] for first, *others in listing.rows)
    return listing._replace(rows=list(rows))


def _arrows(cell: str) -> str:
    return cell.replace(ARROW, " -> ")


def _blocks(cell: str) -> str:
    return cell if cell.strip(BLOCKS) else cell.translate(_ASCII)
