"""The number of threads, and starting one."""

from __future__ import annotations

import _thread
import os
import sys
import threading
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias
from weakref import ref

from initctl.errors import Problem, StorageError
from initctl.integers import counting

if TYPE_CHECKING:
    from queue import SimpleQueue


_NEIGHBORS = "LOCAL_WORLD_SIZE"
"""torchrun's number of processes on this machine. Other launchers give each process its own processors."""


End: TypeAlias = ref[partial[None]]
"""What says that a thread is over."""


def processors() -> int:
    """The processors that this process may use: if torchrun started several on this machine, its share of them."""
    affinity = getattr(os, "sched_getaffinity", None)
    usable = len(affinity(0)) if affinity else os.cpu_count() or 1
    neighbors = os.environ.get(_NEIGHBORS, "")
    return max(1, usable // int(neighbors)) if neighbors.isdecimal() and int(neighbors) else usable


def thread_count(asked: object) -> int:
    """The requested number of threads, by default one for each processor. Raises `UsageError`."""
    return counting("threads", asked) or processors()


def start(run: Callable[..., object], *arguments: object, ends: SimpleQueue[Any]) -> End:
    """Run `run(*arguments)` in a new thread. Returns a reference that is put into `ends` when the thread is over.

    The caller keeps the reference. It also arrives if the thread dies before it runs anything, because memory is short;
    `threading.Thread.start` waits forever for such a thread. Like a daemon, the thread does not keep the process alive.
    Raises `StorageError` if the system cannot start more threads.
    """
    call = partial(_traced, run, arguments)  # the thread has the only reference to it; no frame has one
    end = ref(call, ends.put)  # no code of Python, for which a dying thread may have no memory
    try:
        _thread.start_new_thread(call, ())
    except RuntimeError as error:
        fault = "the system cannot start more threads"
        raise StorageError(Problem("storage.threads", fault, "use fewer --threads")) from error
    return end


def _traced(run: Callable[..., object], arguments: tuple[object, ...]) -> None:
    """Run it under the debugger, or the measurement of coverage, that `threading` would start threads under."""
    if trace := threading.gettrace():
        sys.settrace(trace)
    run(*arguments)
