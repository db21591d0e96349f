"""Threads: how many processors there are for them, and work that is handed to one."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from initctl.errors import Problem, StorageError

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future, ThreadPoolExecutor

_Given = ParamSpec("_Given")
_Result = TypeVar("_Result")


def processors() -> int:
    """The processors that this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def submit(
    pool: ThreadPoolExecutor, function: Callable[_Given, _Result], *given: _Given.args, **named: _Given.kwargs
) -> Future[_Result]:
    """As `pool.submit`. Raises `StorageError` where the system starts no more threads, which is all that can fail."""
    try:
        return pool.submit(function, *given, **named)
    except RuntimeError as error:
        raise StorageError(Problem("storage.threads", "the system starts no more threads", "use fewer")) from error
