"""What is drawn on a terminal, and what a pipe gets instead: reports, and how far work has come."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal, TextIO

from initctl.display.blocks import for_stream
from initctl.display.tables import Report, Unwrapped, lines, paragraph
from initctl.escaping import as_line

if TYPE_CHECKING:
    from rich.console import Console
    from rich.segment import Segment

    from initctl.events import Progress


_WHOLE = 2**20
"""Columns that no line of a report has."""


def console(stream: TextIO, *, color: bool = True) -> Console:
    """A console that draws on the terminal `stream`, in color only if nobody asks for none. Foreign names mean nothing
    to it.
    """
    from rich.console import Console

    system: Literal["auto"] | None = "auto" if color and not os.environ.get("NO_COLOR") else None
    return Console(file=stream, color_system=system, markup=False, emoji=False, highlight=False)


def rendered(content: str | Report, stream: TextIO, *, color: bool = True) -> str:
    """`content` as text for `stream`; nothing is written. A terminal gets a report that fits it, a pipe whole lines."""
    if isinstance(content, str):  # a document, whose lines stay as they are
        return "\n".join(map(as_line, content.split("\n")))
    report = for_stream(content, stream)
    if stream.isatty():
        return drawn(report, console(stream, color=color))
    return "\n".join(as_line(line).rstrip() for line in lines(report))


def drawn(report: Report, terminal: Console) -> str:
    """`report` as text that fits `terminal`, without blanks at the end of lines; what is `Unwrapped` may be wider."""
    from rich.segment import SegmentLines

    fitting, whole = terminal.options, terminal.options.update_width(_WHOLE)
    with terminal.capture() as text:
        for part in report:
            options = whole if isinstance(part, Unwrapped) else fitting
            lines = terminal.render_lines(paragraph(part), options, pad=False)
            terminal.print(SegmentLines(map(_safe, lines), new_lines=True), crop=False)
    return "\n".join(line.rstrip() for line in text.get().splitlines())


def _safe(line: list[Segment]) -> list[Segment]:
    """`line` as a log may get it: what wrapping or two cells beside each other made of it is seen only now."""
    from rich.segment import Segment

    text = "".join(segment.text for segment in line)
    return line if as_line(text) == text else [Segment(as_line(text))]


@contextmanager
def progress_bar(stream: TextIO, doing: str, *, color: bool = True) -> Iterator[Callable[[Progress], None]]:
    """What draws bytes and rate of `doing`, if `stream` is a terminal that can erase them again."""
    if not stream.isatty() or (terminal := console(stream, color=color)).is_dumb_terminal:
        yield lambda _: None
        return
    from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeRemainingColumn, TransferSpeedColumn
    from rich.progress import Progress as Bar

    columns = (TextColumn(doing), BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    with Bar(*columns, console=terminal, transient=True) as bar:
        task = bar.add_task(doing, total=None)
        yield lambda progress: bar.update(task, completed=progress.done, total=progress.total)
