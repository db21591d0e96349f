"""Where text goes, and whether it may be coloured."""

from __future__ import annotations

import os
from io import StringIO
from typing import TYPE_CHECKING, Any, Literal, TextIO

from rich.console import Console

if TYPE_CHECKING:
    from rich.console import RenderableType

_PIPED_WIDTH = 1 << 16
"""Columns of a stream that is not a terminal: nothing is wrapped or cut on its way to a file or a program."""
_AS_IT_IS: dict[str, Any] = {"markup": False, "emoji": False, "highlight": False}
"""Foreign names mean nothing to the console."""


def console(stream: TextIO, *, color: bool = True) -> Console:
    """A console that writes to `stream`: in colour only on a terminal, and only where nobody asks for none."""
    allowed = color and not os.environ.get("NO_COLOR") and stream.isatty()
    system: Literal["auto"] | None = "auto" if allowed else None
    width = None if stream.isatty() else _PIPED_WIDTH
    return Console(file=stream, color_system=system, width=width, **_AS_IT_IS)


def rendered(content: RenderableType, target: Console) -> str:
    """`content` as text for `target`, without the blanks that pad its lines. Nothing is written."""
    text = StringIO()
    system: Any = target.color_system
    same = Console(file=text, color_system=system, width=target.width, force_terminal=target.is_terminal, **_AS_IT_IS)
    same.print(content)
    return "\n".join(line.rstrip() for line in text.getvalue().splitlines())
