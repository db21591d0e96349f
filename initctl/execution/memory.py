"""Whether what must be computed at once fits the memory that this process can still get."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from initctl.errors import Problem, StorageError, shown
from initctl.stream import WholeFill

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from initctl.planning import Action

_MEMINFO = "/proc/meminfo"
_OWN_GROUP = "/proc/self/cgroup"
_GROUPS = "/sys/fs/cgroup"
_GIGABYTE = 1e9


def check_memory(actions: Iterable[Action]) -> None:
    """Refuse, before anything is written, an action that takes more memory than there is. Raises `StorageError`."""
    limits: list[int] | None = None
    for action in actions:
        if not isinstance(action.fill, WholeFill):
            continue
        limits = list(_limits()) if limits is None else limits
        if limits and action.fill.workspace > min(limits):
            needed, there = (f"{nbytes / _GIGABYTE:.3g} GB" for nbytes in (action.fill.workspace, min(limits)))
            place = f"{action.rule}: tensor {shown(action.tensor.name)}"
            message = f"{place}: {action.initializer} takes about {needed} of memory at once, and {there} are available"
            raise StorageError(Problem("storage.memory", message, "run it where there is more"))


def _limits() -> Iterator[int]:
    """Bytes that the machine, the control group and the process's own limit still allow, where they can be told."""
    yield from _machine()
    yield from _control_groups()
    yield from _process()


def _machine() -> Iterator[int]:
    for line in _lines(_MEMINFO):
        if line.startswith("MemAvailable:"):
            yield int(line.split()[1]) * 1024


def _control_groups() -> Iterator[int]:
    """Version 2: a group is limited by itself and by all that it lies in."""
    for line in _lines(_OWN_GROUP):
        if not line.startswith("0::"):
            continue
        group = _GROUPS + line.removeprefix("0::").strip()
        while group.startswith(_GROUPS):
            limit, used = (
                next(iter(_lines(os.path.join(group, name))), "") for name in ("memory.max", "memory.current")
            )
            if limit.strip().isdigit() and used.strip().isdigit():
                yield max(0, int(limit) - int(used))
            group = os.path.dirname(group)


def _process() -> Iterator[int]:
    """The limit on the address space, less what is in use."""
    try:
        import resource
    except ImportError:
        return
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    used = _first("/proc/self/statm")
    if limit != resource.RLIM_INFINITY and used:
        yield max(0, limit - int(used.split()[0]) * resource.getpagesize())


def _first(path: str) -> str:
    return next(iter(_lines(path)), "").strip()


def _lines(path: str) -> list[str]:
    try:
        with open(path, encoding="ascii", errors="replace") as stream:
            return stream.readlines()
    except OSError:
        return []
