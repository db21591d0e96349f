"""Plain tables: columns aligned where the terminal is wide enough, else a few lines for each row."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from rich.cells import cell_len
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from initctl.escaping import as_line, escape

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from rich.console import Console, ConsoleOptions, RenderResult

_GAP = 2
"""Blanks between columns, and before what is said of a row on a narrow terminal."""


@dataclass(frozen=True, slots=True)
class Listing:
    """A heading and rows of cells, of which those named in `right` are aligned to the right.

    Cells are escaped here, so that none can be forgotten; what is escaped already stays as it is.
    """

    heading: Sequence[str]
    rows: Sequence[Sequence[str]]
    right: Collection[str] = ()

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        safe = replace(self, rows=[(as_line(first), *map(escape, others)) for first, *others in self.rows])
        if safe.width <= options.max_width:
            yield _table(safe)
        else:
            yield from _stacked(safe, min(_GAP, options.max_width // 3))

    @property
    def width(self) -> int:
        """Columns of the terminal that the table needs."""
        columns = zip(self.heading, *self.rows, strict=True)
        return sum(max(map(cell_len, column)) + _GAP for column in columns) - _GAP


def _table(listing: Listing) -> Table:
    table = Table(box=None, padding=(0, _GAP, 0, 0), pad_edge=False, header_style="bold")
    for name in listing.heading:
        table.add_column(name, no_wrap=True, justify="right" if name in listing.right else "left")
    for row in listing.rows:
        table.add_row(*map(Text, row))
    return table


def _stacked(listing: Listing, indent: int) -> Iterable[Text | Padding]:
    """The first cell of each row on a line of its own, the others below it, indented."""
    for first, *others in listing.rows:
        yield Text(first, style="bold")
        yield Padding(Text((" " * _GAP).join(filter(None, others))), (0, 0, 0, indent))


def shape_text(shape: Iterable[int]) -> str:
    return f"[{', '.join(map(str, shape))}]"


def count(number: int, noun: str) -> str:
    """`1 tensor`, `2,000 tensors`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
