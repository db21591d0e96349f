"""The columns of a table beside each other, in the columns of a terminal: cells wrapped, and names above their rows, if
that takes less room.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import zip_longest

from initctl.escaping import columns as width_of

GAP = 2
"""Blanks between columns, and before what is below a name."""
_JOINT = " " * GAP
_LEAST, _LINES = 16, 5
"""Columns of a terminal below which nothing is wrapped, and lines that a cell is wrapped into at most."""


@dataclass(frozen=True)
class Column:
    """The heading of a column and its cells, escaped: aligned to the `right`, or such as may be wrapped."""

    cells: Sequence[str]
    right: bool = False
    wraps: bool = False

    @property
    def name(self) -> str:
        return self.cells[0]

    @cached_property
    def width(self) -> int:
        return max(map(width_of, self.cells))

    @cached_property
    def least(self) -> int:
        """The width from which on it can be shown."""
        if not self.wraps:
            return self.width
        words = (width_of(word) for cell in self.cells for word in cell.split(" "))
        return max(min(_LEAST, self.width), self.width // _LINES, *words)

    def briefly(self, brief: Mapping[str, str]) -> Column:
        """With the `brief` forms of its cells; the same if none has any."""
        if brief.keys().isdisjoint(self.cells):
            return self
        return replace(self, cells=[brief.get(cell, cell) for cell in self.cells])

    def lines(self, width: int) -> list[list[str]]:
        """The lines of each cell, wrapped if it is wider than `width`."""
        if width >= self.width:
            return [[cell] for cell in self.padded()]
        return [[self._padded(line, width) for line in packed(cell.split(" "), width, gap=1)] for cell in self.cells]

    def padded(self) -> list[str]:
        """The cells, all of one width."""
        return [self._padded(cell, self.width) for cell in self.cells]

    def _padded(self, line: str, width: int) -> str:
        blanks = " " * (width - width_of(line))
        return blanks + line if self.right else line + blanks


def together(columns: Sequence[Column]) -> int:
    """How wide they are beside each other, if no cell is wrapped."""
    return sum(column.width for column in columns) + GAP * (len(columns) - 1)


def beside(columns: Sequence[Column], width: int) -> list[list[str]] | None:
    """The lines of the heading and of each row, without blanks at their ends; None if they take more than `width`."""
    widths = [column.width for column in columns]
    excess = together(columns) - width
    if excess <= 0:
        return [[_JOINT.join(cells).rstrip()] for cells in zip(*(column.padded() for column in columns), strict=True)]
    if not _narrowed(widths, [column.least for column in columns], excess):
        return None
    rows = zip(*(column.lines(width) for column, width in zip(columns, widths, strict=True)), strict=True)
    return [list(_joined(cells, widths)) for cells in rows]


def below(columns: Sequence[Column], width: int) -> list[list[str]] | None:
    """The same with the cells of the first column above the others, which are indented; a name may be wider."""
    first, *others = columns
    rows = beside(others, width - GAP) if others else None
    return rows and [[name, *(_JOINT + line for line in row)] for name, row in zip(first.cells, rows, strict=True)]


def packed(cells: Iterable[str], width: int, *, gap: int = GAP) -> Iterator[str]:
    """`cells` beside each other, in lines of at most `width` columns; one that is wider has a line of its own."""
    line = ""
    for cell in cells:
        longer = f"{line}{' ' * gap}{cell}" if line else cell
        if line and width_of(longer.rstrip()) > width:
            yield line
            longer = cell
        line = longer
    yield line


def _narrowed(widths: list[int], least: Sequence[int], excess: int) -> bool:
    """Take `excess` from `widths`, from the widest first, and say whether there was as much to take."""
    for _ in range(excess):
        number = max(range(len(widths)), key=lambda number: (widths[number] > least[number], widths[number]))
        if widths[number] == least[number]:
            return False
        widths[number] -= 1
    return True


def _joined(cells: Sequence[Sequence[str]], widths: Sequence[int]) -> Iterator[str]:
    """The lines of a row."""
    for parts in zip_longest(*cells):
        padded = (part or " " * width for part, width in zip(parts, widths, strict=True))
        yield _JOINT.join(padded).rstrip()
