"""What a report looks like: piped, or on a terminal of some width."""

from __future__ import annotations

from io import StringIO
from typing import TYPE_CHECKING

from rich.console import Console

from initctl.display.console import drawn, rendered

if TYPE_CHECKING:
    from initctl.display.tables import Report


def piped(content: Report) -> str:
    return rendered(content, StringIO())


def on_terminal(content: Report, width: int) -> str:
    """As on a terminal of `width` columns that shows no colours."""
    return drawn(content, Console(file=StringIO(), width=width, color_system=None, force_terminal=True))
