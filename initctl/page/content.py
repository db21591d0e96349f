"""What a page is made of: plain data, whose texts are escaped when it is rendered."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from initctl.display.tables import Listing


class Fact(NamedTuple):
    """A number or a word that sums the page up, and what it is of."""

    name: str
    value: str


class Drawing(NamedTuple):
    """A path of SVG in a cell of a table. `before` is the path of what was there earlier, which hangs below it."""

    path: str
    before: str = ""


class Column(NamedTuple):
    """The first column of a table names its rows. Numbers are aligned to the right; prose takes several lines; drawings
    are not sorted.
    """

    title: str
    kind: Literal["name", "text", "prose", "number", "drawing"] = "text"


class TensorTable(NamedTuple):
    """Rows of one cell for each column. It holds all that charts show, for programs and screen readers."""

    title: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[str | Drawing]]
    note: str = ""

    @classmethod
    def of(cls, title: str, listing: Listing, note: str = "") -> TensorTable:
        """The same as a terminal shows; what is beside its columns there are remarks."""
        (first, *others), *rows = listing.cells()
        columns = (Column(name or "remarks", "number" if name in listing.right else "text") for name in others)
        return cls(title, [Column(first, "name"), *columns], rows, note).dense()

    def with_drawings(self, name: str, drawings: Sequence[Drawing | str]) -> TensorTable:
        """The same with a column called `name` after the first: a drawing, or a text, for each row."""
        first, *others = self.columns
        rows = [[row[0], drawing, *row[1:]] for row, drawing in zip(self.rows, drawings, strict=True)]
        return self._replace(columns=[first, Column(name, "drawing"), *others], rows=rows)

    def dense(self) -> TensorTable:
        """The same without columns that are empty in every row."""
        if not self.rows:
            return self
        kept = [number for number in range(len(self.columns)) if any(row[number] for row in self.rows)]
        rows = [[row[number] for number in kept] for row in self.rows]
        return self._replace(columns=[self.columns[number] for number in kept], rows=rows)


class Chart(NamedTuple):
    """A series of numbers as a line, drawn from 0 to the largest; `caption` says in words what the line shows."""

    title: str
    caption: str
    line: str
    before: str = ""


class Charts(NamedTuple):
    """Small charts of one kind, side by side."""

    title: str
    charts: Sequence[Chart]
    note: str = ""


class Item(NamedTuple):
    """One item of a list that opens: a rule, a finding, a warning. `kind` colors its badge; an error is open."""

    badge: str
    title: str
    aside: str = ""
    details: Sequence[Fact] = ()
    kind: Literal["plain", "info", "warning", "error"] = "plain"


class ItemList(NamedTuple):
    """A list of items, such as all rules."""

    title: str
    items: Sequence[Item]
    note: str = ""


class ShellLines(NamedTuple):
    """Lines for a shell, to be copied."""

    title: str
    lines: Sequence[str]
    note: str = ""


Section = TensorTable | Charts | ItemList | ShellLines


class Page(NamedTuple):
    """All that a page shows. `command` made it, `subject` is the path of what it is about."""

    command: str
    subject: str
    facts: Sequence[Fact]
    sections: Sequence[Section]
    summary: str = ""
