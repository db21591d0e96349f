"""The parts of a page, as plain data. Texts are escaped when the page is rendered."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from initctl.display.tables import Listing


class Fact(NamedTuple):
    """A name and a value, such as a number that sums up the page."""

    name: str
    value: str


class Drawing(NamedTuple):
    """A path of SVG in a cell of a table. `before` is the path of the earlier values, drawn below it."""

    path: str
    before: str = ""


class Column(NamedTuple):
    """A column of a table. The first one names the rows. Numbers are aligned to the right, prose may take several
    lines, and drawings cannot be sorted.
    """

    title: str
    kind: Literal["name", "text", "prose", "number", "drawing"] = "text"


class TensorTable(NamedTuple):
    """Rows with one cell for each column. It has everything that charts show, for programs and screen readers."""

    title: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[str | Drawing]]
    note: str = ""

    @classmethod
    def of(cls, title: str, listing: Listing, note: str = "") -> TensorTable:
        """The table that a terminal shows. A column without a heading is called remarks."""
        (first, *others), *rows = listing.cells()
        columns = (Column(name or "remarks", "number" if name in listing.right else "text") for name in others)
        return cls(title, [Column(first, "name"), *columns], rows, note).dense()

    def with_drawings(self, name: str, drawings: Sequence[Drawing | str]) -> TensorTable:
        """Insert a column called `name` after the first one, with a drawing or a text for each row."""
        first, *others = self.columns
        rows = [[row[0], drawing, *row[1:]] for row, drawing in zip(self.rows, drawings, strict=True)]
        return self._replace(columns=[first, Column(name, "drawing"), *others], rows=rows)

    def dense(self) -> TensorTable:
        """Remove columns that are empty in every row."""
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
    """One item of a list: a rule, a finding, a warning. It can be opened; an error is open. `kind` colors its badge."""

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
    """Lines to copy into a shell."""

    title: str
    lines: Sequence[str]
    note: str = ""


Section = TensorTable | Charts | ItemList | ShellLines


class Page(NamedTuple):
    """Everything that a page shows. `command` made it; `subject` is the path of the checkpoint."""

    command: str
    subject: str
    facts: Sequence[Fact]
    sections: Sequence[Section]
    summary: str = ""
