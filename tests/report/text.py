"""What a report looks like: piped, or on a terminal of some width."""

from __future__ import annotations

from io import StringIO
from typing import TYPE_CHECKING

from rich.console import Console

from initctl.report.console import console, rendered

if TYPE_CHECKING:
    from rich.console import RenderableType


def piped(content: RenderableType) -> str:
    return rendered(content, console(StringIO()))


def on_terminal(content: RenderableType, width: int) -> str:
    """As on a terminal of `width` columns that shows no colours."""
    return rendered(content, Console(file=StringIO(), width=width, color_system=None, force_terminal=True))
