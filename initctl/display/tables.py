"""Reports: sentences, and tables whose columns are aligned if they fit; and results that show theirs."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from sys import maxsize
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple, Self

from initctl.display.colors import DIM, HEADING
from initctl.display.fitting import GAP, Column, below, beside, packed, together
from initctl.escaping import as_line, escape

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType, RenderResult

_SEEN = 60
"""Rows of a table that Python shows at most, and lines."""
_UNITS = ("kB", "MB", "GB", "TB", "PB", "EB")


class Unwrapped(str):
    """A part of a report that is copied from a terminal, such as a command: its lines stay whole there."""

    __slots__ = ()


class Toned(str):
    """A part of a report that has a `style`, one of `colors`, on a terminal."""

    __slots__ = ("style",)
    style: str

    def __new__(cls, text: str, style: str) -> Self:
        toned = super().__new__(cls, text)
        toned.style = style
        return toned


class Listing(NamedTuple):
    """A heading and rows of cells. Columns named in `right` are aligned to the right. `styles` are one a row.

    On a terminal that is too narrow, cells get their forms in `brief`; columns in `wrapped` (default: the last one) are
    wrapped; names are above their rows; and columns in `spare` leave, those of its first item first.

    Cells are escaped here, so that none can be forgotten; what is escaped already stays as it is.
    """

    heading: Sequence[str]
    rows: Sequence[Sequence[str]]
    right: Collection[str] = ()
    wrapped: Collection[str] | None = None
    brief: Mapping[str, str] = MappingProxyType({})
    spare: Sequence[Sequence[str]] = ()
    styles: Sequence[str] = ()

    def lines(self) -> list[str]:
        """The heading and each row, with aligned columns and no blanks at the end."""
        return [line for row in beside(self._columns(), maxsize) or () for line in row]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """The lines if the terminal is wide enough; else as much as fits, and what is cut; else each row's first cell,
        and below it the others with their names.
        """
        from rich.text import Text

        width = options.max_width
        rows, cut = self._fitted(width)
        if rows is None:
            yield from self._stacked(width)
            return
        for lines, style in zip(rows, (HEADING, *self._styles()), strict=True):
            yield from (Text(line, style=style) for line in lines)
        if cut:
            yield Text(f"to fit {width} columns: {'; '.join(cut)}; `| less -S` shows all", style=DIM)

    def _fitted(self, width: int) -> tuple[list[list[str]] | None, list[str]]:
        """The lines of the heading and of each row, if they fit `width`, and which columns are not whole."""
        whole = self._columns()
        if together(whole) <= width:
            return beside(whole, width), []
        columns = [column.briefly(self.brief) for column in whole]
        shortened = [column.name for column, before in zip(columns, whole, strict=True) if column is not before]
        for number in range(len(self.spare) + 1):
            gone = [name for names in self.spare[:number] for name in names]
            left = [column for column in columns if column.name not in gone]
            if rows := beside(left, width) or below(left, width):
                cut = {"shortened": [name for name in shortened if name not in gone], "left out": gone}
                return rows, [f"{', '.join(names)} {how}" for how, names in cut.items() if names]
        return None, []

    def _stacked(self, width: int) -> RenderResult:
        from rich.padding import Padding
        from rich.text import Text

        indent = min(GAP, width // 3)
        yield Text(self.heading[0], style=HEADING)
        for (first, *others), style in zip(self.cells()[1:], self._styles(), strict=True):
            yield Text(first, style=style)
            cells = (_named(*cell) for cell in zip(self.heading[1:], others, strict=True) if cell[1])
            yield Padding(Text("\n".join(packed(cells, width - indent)), style=style), (0, 0, 0, indent))

    def _styles(self) -> Sequence[str]:
        return self.styles or [""] * len(self.rows)

    def _columns(self) -> list[Column]:
        wrapped = self.heading[-1:] if self.wrapped is None else self.wrapped
        return [
            Column(cells, name in self.right, name in wrapped and name not in self.right)
            for name, cells in zip(self.heading, zip(*self.cells(), strict=True), strict=True)
        ]

    def cells(self) -> list[Sequence[str]]:
        """The heading and each row, escaped."""
        return [self.heading, *([as_line(first), *map(escape, others)] for first, *others in self.rows)]


Report = Sequence[str | Listing]
"""What a result shows: sentences and tables, one after another."""


def _named(name: str, cell: str) -> str:
    """`cell` with the name of its column, unless it begins with that."""
    return cell if cell.startswith(name) else f"{name} {cell}"


def paragraph(part: str | Listing) -> RenderableType:
    """A `part` of a report for rich, which wraps sentences: each keeps the indent that it begins with."""
    from rich.padding import Padding
    from rich.text import Text

    if isinstance(part, Listing):
        return part
    if isinstance(part, Unwrapped):
        return Text(part, no_wrap=True, overflow="ignore")
    sentence = Text(part.lstrip(" "), style=part.style if isinstance(part, Toned) else "")
    indent = len(part) - len(sentence)
    return Padding(sentence, (0, 0, 0, indent)) if indent else sentence


def lines(report: Report) -> Iterator[str]:
    """The lines of a report that nothing wraps."""
    for part in report:
        yield from part.lines() if isinstance(part, Listing) else part.split("\n")


class Displayed:
    """A result that is always shown as its `report`, folded and cut if it is long."""

    __slots__ = ()

    def report(self, *, unfold: bool = False) -> Report:
        """Tables and sentences that say what the result is; long tables folded unless `unfold`."""
        raise NotImplementedError

    def __repr__(self) -> str:
        return "\n".join(map(as_line, lines(list(_glance(self.report())))))

    def __rich__(self) -> RenderableType:
        from rich.console import Group

        return Group(*map(paragraph, _glance(self.report())))

    def _repr_html_(self) -> str:
        """For a notebook: every text is escaped, and nothing outside of it is asked for."""
        parts = (
            _table(part) if isinstance(part, Listing) else f"<p>{_text(part)}</p>"
            for part in _glance(self.report())
            if part
        )
        return "".join(parts)


def _glance(report: Report) -> Iterator[str | Listing]:
    """`report` with the first rows of each table, and of many lines the first and the last."""
    for is_text, run in groupby(report, lambda part: isinstance(part, str) and part != ""):
        parts = list(run)
        if is_text and len(parts) > _SEEN:
            parts = [*parts[: _SEEN - 1], _more(len(parts), "line"), parts[-1]]
        for part in parts:
            if isinstance(part, Listing) and len(part.rows) > _SEEN:
                yield part._replace(rows=part.rows[:_SEEN], styles=part.styles[:_SEEN])
                yield _more(len(part.rows), "row")
            else:
                yield part


def _more(number: int, noun: str) -> str:
    return f"and {count(number - _SEEN, f'more {noun}')}; to_json() has all of them"


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
