"""Whether tensors that are computed as a whole fit into the memory that this process can still get."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, NamedTuple

from initctl.errors import Problem, StorageError, shown
from initctl.filling.targets import needs_preparing
from initctl.stream import WholeLaw
from initctl.stream.devices import CPU

if TYPE_CHECKING:
    from initctl.planning import Action

_MEMINFO = "/proc/meminfo"
_OWN_GROUP = "/proc/self/cgroup"
_GROUPS = "/sys/fs/cgroup"
_GIGABYTE = 1e9


class _Version(NamedTuple):
    """Where a version of control groups keeps its files about memory, and the prefix of names in memory.stat."""

    folder: str
    limit: str
    used: str
    prefix: str


_VERSIONS = {
    "": _Version("", "memory.max", "memory.current", ""),
    "memory": _Version("memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_"),
}
"""By the controllers that a line of /proc/self/cgroup names. Version 2 names none."""
_RECLAIMABLE = ("active_file", "inactive_file", "slab_reclaimable")
"""Memory that counts as used, but is freed when memory is short. Version 1 does not list the last."""


def check_memory(actions: Iterable[Action]) -> None:
    """Raise `StorageError` if an action needs more memory than there is. Call it before anything is written."""
    waiting = (action for action in actions if needs_preparing(type(action.law)))
    whole = [(action, action.law) for action in waiting if isinstance(action.law, WholeLaw)]
    here = min(_limits(), default=None) if whole else None
    for action, law in whole:
        _check_fits(action, law, here, "available", "run it on a machine with more memory")
        if law.flops and action.device != CPU:
            from initctl.stream.engines.device import free_memory

            _check_fits(action, law, free_memory(action.device), f"free on {action.device}", "use --device cpu")


def _check_fits(action: Action, law: WholeLaw, room: int | None, where: str, hint: str) -> None:
    if room is not None and law.workspace > room:
        needed, there = (f"{nbytes / _GIGABYTE:.3g} GB" for nbytes in (law.workspace, room))
        place = f"{action.rule}: tensor {shown(action.tensor.name)}"
        message = f"{place}: {action.initializer} needs about {needed} of memory at once, but only {there} is {where}"
        raise StorageError(Problem("storage.memory", message, hint))


def _limits() -> Iterator[int]:
    """Bytes that the machine, the control group and the process's own limit still allow, if known."""
    yield from _machine()
    yield from _control_groups()
    yield from _process()


def _machine() -> Iterator[int]:
    for line in _lines(_MEMINFO):
        if line.startswith("MemAvailable:"):
            yield int(line.split()[1]) * 1024


def _control_groups() -> Iterator[int]:
    """The memory left in the group of this process, and in each of its parents: all their limits apply."""
    for line in _lines(_OWN_GROUP):
        _, controllers, path = line.strip().split(":", 2)
        version = _VERSIONS.get("memory" if "memory" in controllers.split(",") else controllers)
        if not version:
            continue
        top = os.path.normpath(os.path.join(_GROUPS, version.folder))
        group = os.path.normpath(os.path.join(top, path.lstrip("/")))
        while group.startswith(top):
            yield from _room_in(group, version)
            group = os.path.dirname(group)


def _room_in(group: str, version: _Version) -> Iterator[int]:
    """The bytes that a group may still use."""
    limit, used = (_first(os.path.join(group, name)) for name in (version.limit, version.used))
    if limit.isdigit() and used.isdigit():
        counts = dict(line.split() for line in _lines(os.path.join(group, "memory.stat")))
        cached = sum(int(counts.get(version.prefix + name, 0)) for name in _RECLAIMABLE)
        yield max(0, int(limit) - int(used) + cached)


def _process() -> Iterator[int]:
    """The limit of the address space minus what is in use."""
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
