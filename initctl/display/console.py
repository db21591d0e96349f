"""What is drawn on a terminal, and what a pipe gets instead: reports, and how far work has come."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from math import inf
from time import monotonic
from typing import TYPE_CHECKING, Literal, TextIO

from initctl.display.blocks import for_stream
from initctl.display.colors import has_colors
from initctl.display.tables import Report, Unwrapped, lines, paragraph
from initctl.escaping import as_line

if TYPE_CHECKING:
    from rich.console import Console
    from rich.segment import Segment

    from initctl.events import Progress


_WHOLE = 2**20
"""Columns that no line of a report has."""
_MEASURE = 100
"""Columns of a text that is read: longer lines are hard to follow."""
_UNSEEN = 1.0
"""Seconds that work may take without being seen to go on."""
_STYLES = {
    "markdown.h1": "bold",
    "markdown.h2": "bold",
    "markdown.code": "cyan",
    "markdown.code_block": "none",
    "bar.back": "dim",
    "bar.complete": "cyan",
    "bar.finished": "cyan",
    "progress.download": "none",
    "progress.data.speed": "none",
    "progress.remaining": "none",
}
"""Colors of the terminal itself, which fit dark and light ones."""
_LABELED, _BARRED = 40, 60
"""Columns of a terminal from which on progress has a label, and a bar."""


def console(stream: TextIO, *, width: int | None = None) -> Console:
    """A console that draws for `stream`, of the terminal's width or the one that is given. Foreign names mean nothing
    to it.
    """
    from rich.console import Console
    from rich.theme import Theme

    system: Literal["auto"] | None = "auto" if has_colors(stream) else None
    theme = Theme(_STYLES)
    return Console(
        file=stream, color_system=system, markup=False, emoji=False, highlight=False, width=width, theme=theme
    )


def rendered(content: str | Report, stream: TextIO) -> str:
    """`content` as text for `stream`; nothing is written. A terminal gets a report that fits it, a pipe whole lines."""
    if isinstance(content, str):  # a document, whose lines stay as they are
        return "\n".join(map(as_line, content.split("\n")))
    report = for_stream(content, stream)
    if stream.isatty() or has_colors(stream):
        return drawn(report, console(stream, width=None if stream.isatty() else _WHOLE))
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


def document_as_text(markdown: str, stream: TextIO) -> str:
    """`markdown`, of the package itself, as text for `stream`: drawn for a terminal, as it is written for a pipe.

    Lines of code may be wider than the terminal: a line that was broken in two could not be copied into a shell.
    """
    if not stream.isatty():
        return markdown.rstrip("\n")
    from initctl.display.markdown import Document

    terminal = console(stream)
    with terminal.capture() as text:
        terminal.print(Document(markdown), width=min(terminal.width, _MEASURE), crop=False)
    return "\n".join(line.rstrip() for line in text.get().splitlines())


def _safe(line: list[Segment]) -> list[Segment]:
    """`line` as a log may get it: what wrapping or two cells beside each other made of it is seen only now."""
    from rich.segment import Segment

    text = "".join(segment.text for segment in line)
    return line if as_line(text) == text else [Segment(as_line(text))]


@contextmanager
def progress_bar(stream: TextIO, doing: str) -> Iterator[Callable[[Progress], None]]:
    """What draws bytes, rate and time left of `doing` a second after its first step, if `stream` is a terminal that can
    erase them again.
    """
    if not stream.isatty() or (terminal := console(stream)).is_dumb_terminal:
        yield lambda _: None
        return
    begun, draw = inf, None
    with ExitStack() as shown:

        def update(progress: Progress) -> None:
            nonlocal begun, draw
            begun = min(begun, monotonic())
            if draw is None and monotonic() - begun >= _UNSEEN:
                draw = shown.enter_context(_bar(terminal, doing, progress.total))
            if draw:
                draw(progress)

        yield update


@contextmanager
def _bar(terminal: Console, doing: str, total: int) -> Iterator[Callable[[Progress], None]]:
    from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeRemainingColumn, TransferSpeedColumn
    from rich.progress import Progress as Bar
    from rich.table import Column

    label = (TextColumn(doing),) if terminal.width >= _LABELED else ()
    bar = (BarColumn(),) if terminal.width >= _BARRED else ()
    numbers = (kind(table_column=Column(no_wrap=True)) for kind in (DownloadColumn, TransferSpeedColumn))
    with Bar(*label, *bar, *numbers, TimeRemainingColumn(), console=terminal, transient=True) as drawn:
        task = drawn.add_task(doing, total=total)
        yield lambda progress: drawn.update(task, completed=progress.done, total=progress.total)
