"""Locks by which processes that change checkpoints keep out of each other's way. They end with their process.

What is locked is the file or directory itself, not a file beside it: nothing is left behind. A file that was replaced
has another lock than the new one; so whoever gets a lock checks that the path still leads to what is locked.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TypeVar


class Busy(Exception):  # noqa: N818 - a fact that callers turn into an error
    """Another process has a lock that excludes the wanted one."""


Result = TypeVar("Result")
_PATIENCE = 0.5
"""Seconds after which a lock counts as busy: a process that is just about to release it does not count."""


@contextmanager
def locked(path: str, *, is_shared: bool = False) -> Iterator[bool]:
    """Hold a lock of the file or directory at `path` during the body; any number of processes can hold shared ones.

    Yields false if nothing could be locked: nothing is there, it cannot be opened, or the file system has no locks.
    Raises `Busy` if another process has a lock that excludes this one, and does not release it at once.
    """
    descriptor = patiently(lambda: lock(path, is_shared=is_shared))
    try:
        yield descriptor is not None
    finally:
        if descriptor is not None:
            release(descriptor)


def release(descriptor: int) -> None:
    """Give up the lock that `lock` returned. It has ended even if closing the file fails."""
    with suppress(OSError):
        os.close(descriptor)


def patiently(attempt: Callable[[], Result]) -> Result:
    """What `attempt` returns. While it raises `Busy` or `BlockingIOError`, it is repeated for a moment."""
    end = time.monotonic() + _PATIENCE
    while True:
        try:
            return attempt()
        except (Busy, BlockingIOError):
            if time.monotonic() > end:
                raise
        time.sleep(_PATIENCE / 20)


def lock(path: str, *, is_shared: bool = False, follow: bool = True) -> int | None:
    """The same lock, until the returned descriptor is closed. Unless `follow`, a symbolic link is not locked."""
    kind = fcntl.LOCK_SH if is_shared else fcntl.LOCK_EX
    flags = os.O_RDONLY | os.O_NONBLOCK | (0 if follow else os.O_NOFOLLOW)
    while True:
        try:
            descriptor = os.open(path, flags)
        except OSError:
            return None
        try:
            fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(descriptor), os.stat(path, follow_symlinks=follow)):
                return descriptor
        except BlockingIOError:
            release(descriptor)
            raise Busy from None
        except FileNotFoundError:  # it was removed meanwhile
            pass
        except OSError:
            release(descriptor)
            return None
        release(descriptor)
