"""Numbers as a line of blocks, each as high as its number is large; and that where a terminal has no blocks."""

from __future__ import annotations

from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from collections.abc import Sequence

BLOCKS = " ▁▂▃▄▅▆▇█"
"""From nothing to the largest number."""
_ASCII = str.maketrans(BLOCKS, " .:-=+*#@")


def blocks(values: Sequence[float]) -> str:
    """A block for each of `values`, none of them negative: what is not 0 can be seen."""
    largest, levels = max(values, default=0), len(BLOCKS) - 1
    return "".join(BLOCKS[-int(-value * levels // largest)] if value else BLOCKS[0] for value in values)


def for_stream(text: str, stream: TextIO) -> str:
    """`text` with ASCII in place of blocks that `stream` cannot write."""
    try:
        BLOCKS.encode(stream.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return text.translate(_ASCII)
    return text
