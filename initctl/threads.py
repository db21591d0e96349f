"""The number of threads, and starting one."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from initctl.errors import Problem, StorageError
from initctl.integers import counting

if TYPE_CHECKING:
    from threading import Thread


_NEIGHBORS = "LOCAL_WORLD_SIZE"
"""torchrun's number of processes on this machine. Other launchers give each process its own processors."""


def processors() -> int:
    """The processors that this process may use: if torchrun started several on this machine, its share of them."""
    affinity = getattr(os, "sched_getaffinity", None)
    usable = len(affinity(0)) if affinity else os.cpu_count() or 1
    neighbors = os.environ.get(_NEIGHBORS, "")
    return max(1, usable // int(neighbors)) if neighbors.isdecimal() and int(neighbors) else usable


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
