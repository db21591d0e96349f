"""Reports: sentences, and tables whose columns are aligned if they fit; and results that show theirs."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from initctl.escaping import as_line, columns, escape

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType, RenderResult

_GAP = 2
"""Blanks between columns, and before what is said of a row on a narrow terminal."""
_UNITS = ("kB", "MB", "GB", "TB", "PB", "EB")


class Unwrapped(str):
    """A part of a report that is copied from a terminal, such as a command: its lines stay whole there."""

    __slots__ = ()


class Listing(NamedTuple):
    """A heading and rows of cells. Those named in `right` are aligned to the right. On a narrow terminal their names
    are beside them, and beside those in `named`, such as drawings.

    Cells are escaped here, so that none can be forgotten; what is escaped already stays as it is.
    """

    heading: Sequence[str]
    rows: Sequence[Sequence[str]]
    right: Collection[str] = ()
    named: Collection[str] = ()

    def lines(self) -> list[str]:
        """The heading and each row, with aligned columns and no blanks at the end."""
        rows = self.cells()
        widths = [max(map(columns, column)) for column in zip(*rows, strict=True)]
        return [self._line(row, widths) for row in rows]

    def _line(self, row: Sequence[str], widths: Sequence[int]) -> str:
        padded = (
            " " * (width - columns(cell)) + cell if name in self.right else cell + " " * (width - columns(cell))
            for name, cell, width in zip(self.heading, row, widths, strict=True)
        )
        return (" " * _GAP).join(padded).rstrip()

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """The lines if the terminal is wide enough; else each row's first cell, and below it the others, indented, with
        the names of those that the heading alone explains.
        """
        from rich.padding import Padding
        from rich.text import Text

        heading, *lines = self.lines()
        if max(map(columns, (heading, *lines))) <= options.max_width:
            yield Text(heading, style="bold")
            yield from map(Text, lines)
            return
        indent = min(_GAP, options.max_width // 3)
        for first, *others in self.cells()[1:]:
            yield Text(first, style="bold")
            below = _packed(filter(None, self._named(others)), options.max_width - indent)
            yield Padding(Text("\n".join(below)), (0, 0, 0, indent))

    def _named(self, cells: Sequence[str]) -> Iterator[str]:
        """All `cells` of a row but the first, each with the name of its column if the heading alone explains it."""
        for name, cell in zip(self.heading[1:], cells, strict=True):
            yield f"{name} {cell}" if cell and (name in self.right or name in self.named) else cell

    def cells(self) -> list[Sequence[str]]:
        """The heading and each row, escaped."""
        return [self.heading, *([as_line(first), *map(escape, others)] for first, *others in self.rows)]


Report = Sequence[str | Listing]
"""What a result shows: sentences and tables, one after another."""


def _packed(cells: Iterable[str], width: int) -> Iterator[str]:
    """`cells` beside each other, in lines of at most `width` columns; one that is wider has a line of its own."""
    line = ""
    for cell in cells:
        longer = f"{line}{' ' * _GAP}{cell}" if line else cell
        if line and columns(longer.rstrip()) > width:
            yield line
            longer = cell
        line = longer
    yield line


def paragraph(part: str | Listing) -> RenderableType:
    """A `part` of a report for rich, which wraps sentences: each keeps the indent that it begins with."""
    from rich.padding import Padding
    from rich.text import Text

    if isinstance(part, Listing):
        return part
    if isinstance(part, Unwrapped):
        return Text(part, no_wrap=True, overflow="ignore")
    sentence = Text(part.lstrip(" "))
    indent = len(part) - len(sentence)
    return Padding(sentence, (0, 0, 0, indent)) if indent else sentence


def lines(report: Report) -> Iterator[str]:
    """The lines of a report that nothing wraps."""
    for part in report:
        yield from part.lines() if isinstance(part, Listing) else part.split("\n")


class Displayed:
    """A result whose `report` is shown, folded if it is long, wherever it is looked at."""

    __slots__ = ()

    def report(self, *, unfold: bool = False) -> Report:
        """Tables and sentences that say what the result is; long tables folded unless `unfold`."""
        raise NotImplementedError

    def __repr__(self) -> str:
        return "\n".join(map(as_line, lines(self.report())))

    def __rich__(self) -> RenderableType:
        from rich.console import Group

        return Group(*map(paragraph, self.report()))

    def _repr_html_(self) -> str:
        """For a notebook: every text is escaped, and nothing outside of it is asked for."""
        parts = (
            _table(part) if isinstance(part, Listing) else f"<p>{_text(part)}</p>" for part in self.report() if part
        )
        return "".join(parts)


def _table(listing: Listing) -> str:
    heading, *rows = listing.cells()
    right = [' style="text-align: right"' if name in listing.right else "" for name in heading]
    head = "".join(f"<th{side}>{_text(cell)}</th>" for cell, side in zip(heading, right, strict=True))
    body = (
        "<tr>" + "".join(f"<td{side}>{_text(cell)}</td>" for cell, side in zip(row, right, strict=True)) + "</tr>"
        for row in rows
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(body)}</tbody></table>"


def _text(text: str) -> str:
    from html import escape

    return escape(as_line(text)).replace("\n", "<br>")


def shape_text(shape: Iterable[int]) -> str:
    return f"[{', '.join(map(str, shape))}]"


def count(number: int, noun: str) -> str:
    """`1 tensor`, `2,000 tensors`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def size_text(nbytes: int) -> str:
    """`1 byte`, `20.0 kB`."""
    if nbytes < 1000:
        return count(nbytes, "byte")
    power = min((len(str(nbytes)) - 1) // 3, len(_UNITS))
    return f"{nbytes / 1000**power:,.1f} {_UNITS[power - 1]}"
