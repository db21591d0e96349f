"""Threads: how many processors there are for them, and how one is started."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from initctl.errors import Problem, StorageError
from initctl.integers import counting

if TYPE_CHECKING:
    from threading import Thread


def processors() -> int:
    """The processors that this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def thread_count(asked: object) -> int:
    """How many threads a caller has `asked` for, by default one for each processor. Raises `UsageError`."""
    return counting("threads", asked) or processors()


def start(thread: Thread) -> None:
    """Start `thread`. Raises `StorageError` if the system starts no more threads, which is all that can fail."""
    try:
        thread.start()
    except RuntimeError as error:
        raise StorageError(Problem("storage.threads", "the system starts no more threads", "use fewer")) from error
