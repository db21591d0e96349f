"""The number of threads, and starting one."""

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
    """The requested number of threads, by default one for each processor. Raises `UsageError`."""
    return counting("threads", asked) or processors()


def start(thread: Thread) -> None:
    """Start `thread`. Raises `StorageError` if the system cannot start more threads."""
    try:
        thread.start()
    except RuntimeError as error:
        fault = "the system cannot start more threads"
        raise StorageError(Problem("storage.threads", fault, "use fewer --threads")) from error
