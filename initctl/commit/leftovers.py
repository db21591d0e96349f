"""What a process that was killed left behind: staged files and directories that nobody holds any more."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Iterator
from contextlib import suppress

from initctl import paths
from initctl.commit import effects
from initctl.commit.mounts import mount_of
from initctl.commit.tree import tree
from initctl.errors import Problem, shown
from initctl.locks import Busy, lock, release
from initctl.traces import is_of_living_process, is_of_this_boot, is_staged

_MOMENT = 0.1
"""Seconds in which a process surely locks what it has made."""


def reclaim(directory: str) -> Iterator[Problem]:
    """Remove what killed processes of this user, or of any if it is root, left directly in `directory`. Yields a
    warning for each, also if it cannot be removed, or if the file system does not say whether a process holds it.

    A process locks what it stages. So neither the process ID nor the time needs to be trusted: both mislead if
    containers share the directory. A file system that machines share may keep the locks of each to itself.
    """
    for path in _staged_in(directory):
        if not _is_of_this_machine(path):
            yield _unclear(path)
            continue
        with suppress(Busy):
            held = lock(path, follow=False)
            if held is not None and is_of_living_process(path):  # which may be about to lock what it has just made
                release(held)
                time.sleep(_MOMENT)
                held = lock(path, follow=False)
            try:
                if held is None and os.path.lexists(path):
                    yield _unclear(path)
                elif held is not None:
                    yield _removed(path)
            finally:
                if held is not None:
                    release(held)


def discard(path: str) -> None:
    """Remove a file or a directory as far as possible, read-only subdirectories included."""
    try:
        is_directory = stat.S_ISDIR(os.lstat(path).st_mode)
    except OSError:
        return
    with suppress(OSError):
        if is_directory:
            _remove_directory(path)
        else:
            effects.unlink(path)


def is_there(path: str) -> bool:
    """Whether something is at `path`; true if the system does not say."""
    try:
        return paths.is_there(path)
    except OSError:
        return True


def _remove_directory(path: str) -> None:
    with suppress(OSError):
        for directory, _ in tree(path):
            effects.change_mode(directory, stat.S_IRWXU)
    effects.remove_tree(path)


def _staged_in(directory: str) -> list[str]:
    """The staged files and directories of this user that are directly in `directory`."""
    with suppress(OSError):
        return [
            path for name in os.listdir(directory) if is_staged(name) and _is_own(path := os.path.join(directory, name))
        ]
    return []


def _is_own(path: str) -> bool:
    """Whether it is a file or a directory that this user made; root also stages them for their owners."""
    try:
        status = os.lstat(path)
    except OSError:
        return False
    return os.geteuid() in (0, status.st_uid) and (stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode))


def _is_of_this_machine(path: str) -> bool:
    """Whether surely no process of another machine stages what is at `path`."""
    directory, name = os.path.split(path)
    mount = mount_of(os.path.realpath(directory))
    return is_of_this_boot(name) or (mount is not None and mount.is_local)


def _unclear(path: str) -> Problem:
    hint = "remove it if no other initctl writes there"
    return Problem("storage.leftover", f"{shown(path)}: may be left of an initctl that was killed", hint)


def _removed(path: str) -> Problem:
    discard(path)
    if is_there(path):
        fault = f"{shown(path)}: is left of an initctl that was killed, and could not be removed"
        return Problem("storage.leftover", fault, "remove it")
    return Problem("storage.reclaimed", f"{shown(path)}: removed it; an initctl that was killed had left it")
