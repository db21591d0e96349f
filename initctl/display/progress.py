"""Bytes and rate on a terminal while work is going on."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeRemainingColumn, TransferSpeedColumn
from rich.progress import Progress as Bar

from initctl.display.console import console

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import TextIO

    from initctl.events import Progress


@contextmanager
def progress_bar(
    terminal: TextIO, doing: str = "writing", *, color: bool = True
) -> Iterator[Callable[[Progress], None]]:
    """A callback that draws on `terminal` how far `doing` has come, unless it cannot erase."""
    target = console(terminal, color=color)
    if target.is_dumb_terminal:
        yield lambda _: None
        return
    columns = (TextColumn(doing), BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    with Bar(*columns, console=target, transient=True) as bar:
        task = bar.add_task(doing, total=None)

        def update(progress: Progress) -> None:
            bar.update(task, completed=progress.done, total=progress.total)

        yield update
