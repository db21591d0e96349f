"""While a process changes a file or a directory, no other process of initctl may change it, or what it is in."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from initctl.errors import ConflictError, Problem, shown
from initctl.locks import Busy, locked
from initctl.traces import above


@contextmanager
def claimed(target: str, *, is_shared: bool = False) -> Iterator[bool]:
    """Nobody else changes the real path `target` during the body, nor replaces a directory that it is in.

    Others may change other files of that directory. If the claim `is_shared`, they may replace the target by a new
    file, but not make it from the old one. Yields false if it could not be locked. Raises `ConflictError` if
    another process is at work.
    """
    with beside(target), _locked(target, is_shared=is_shared) as is_locked:
        yield is_locked


@contextmanager
def beside(target: str) -> Iterator[bool]:
    """Nobody replaces a directory that the real path `target` is in during the body, which makes a new file there."""
    with ExitStack() as stack:
        for directory in above(target):
            stack.enter_context(_locked(directory, is_shared=True))
        yield True


@contextmanager
def _locked(path: str, *, is_shared: bool = False) -> Iterator[bool]:
    with ExitStack() as stack:
        try:
            is_locked = stack.enter_context(locked(path, is_shared=is_shared))
        except Busy:
            fault = f"{shown(path)}: another process of initctl is changing it"
            raise ConflictError(Problem("output.busy", fault, "run again when it has ended")) from None
        yield is_locked
