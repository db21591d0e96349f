"""A result that shows itself: in a REPL, in a notebook, and to rich."""

from __future__ import annotations

from typing import TYPE_CHECKING

from initctl.display.tables import Listing, lines
from initctl.escaping import as_line

if TYPE_CHECKING:
    from rich.console import RenderableType

    from initctl.display.tables import Report


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
        from rich.text import Text

        return Group(*(Text(part) if isinstance(part, str) else part for part in self.report()))

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
