"""Bytes and rate on a terminal while work is going on."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeRemainingColumn, TransferSpeedColumn
from rich.progress import Progress as Bar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rich.console import Console

    from initctl.execution import Progress


@contextmanager
def progress_bar(target: Console, doing: str = "writing") -> Iterator[Callable[[Progress], None]]:
    """A callback that draws on the terminal `target` how far `doing` has come."""
    columns = (TextColumn(doing), BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    with Bar(*columns, console=target, transient=True) as bar:
        task = bar.add_task(doing, total=None)

        def update(progress: Progress) -> None:
            bar.update(task, completed=progress.done, total=progress.total)

        yield update
