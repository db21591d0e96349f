"""While a process changes a file or a directory, no other process of initctl may change it, or what it is in."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import takewhile

from initctl.errors import ConflictError, Problem, shown
from initctl.locks import Busy, locked
from initctl.traces import above

_FOR_ALL = stat.S_ISVTX | stat.S_IWOTH
"""The permissions of a directory in which every user may make files, but remove only their own."""


@contextmanager
def claimed(target: str, *, is_shared: bool = False) -> Iterator[bool]:
    """Nobody else changes the real path `target` during the body, nor replaces a directory that it is in.

    Others may change other files of that directory. If the claim `is_shared`, they may replace the target by a new
    file, but not make it from the old one. Yields false if it could not be locked. Raises `ConflictError` if
    another process is at work.
    """
    with beside(target), holding(target, is_shared=is_shared) as is_locked:
        yield is_locked


@contextmanager
def beside(target: str) -> Iterator[None]:
    """Nobody replaces a directory that the real path `target` is in during the body, which makes a new file there."""
    with ExitStack() as stack:
        for directory in takewhile(_is_replaceable, above(target)):
            stack.enter_context(holding(directory, is_shared=True))
        yield


def _is_replaceable(directory: str) -> bool:
    """Whether `directory` may be a checkpoint that a run replaces. A directory that all users share, such as /tmp, is
    not a checkpoint, and a mount point cannot be replaced.
    """
    try:
        is_for_all = os.stat(directory).st_mode & _FOR_ALL == _FOR_ALL
    except FileNotFoundError:
        return False
    return not (is_for_all or os.path.ismount(directory))


@contextmanager
def holding(path: str, *, is_shared: bool = False) -> Iterator[bool]:
    """Hold a lock of what is at `path` during the body. Yields and raises what `claimed` does."""
    with ExitStack() as stack:
        try:
            is_locked = stack.enter_context(locked(path, is_shared=is_shared))
        except Busy:
            fault = f"{shown(path)}: another process of initctl is changing it"
            raise ConflictError(Problem("output.busy", fault, "run again when it has ended")) from None
        yield is_locked
