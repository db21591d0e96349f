"""Where text goes, and whether it may be coloured."""

from __future__ import annotations

import os
from io import StringIO
from typing import TYPE_CHECKING, Any, Literal, TextIO

from rich.console import Console
from rich.segment import Segment, SegmentLines

from initctl.escaping import as_line

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
    if isinstance(content, str):  # a document, whose lines stay as they are
        return "\n".join(map(as_line, content.split("\n")))
    text = StringIO()
    system: Any = target.color_system
    same = Console(file=text, color_system=system, width=target.width, force_terminal=target.is_terminal, **_AS_IT_IS)
    lines = same.render_lines(content, pad=False)
    same.print(SegmentLines(map(_safe, lines), new_lines=True), crop=False)
    return "\n".join(line.rstrip() for line in text.getvalue().splitlines())


def _safe(line: list[Segment]) -> list[Segment]:
    """`line` as a log may get it: what wrapping or two cells beside each other made of it is seen only now."""
    text = "".join(segment.text for segment in line)
    return line if as_line(text) == text else [Segment(as_line(text))]
