"""Every call of the system that a commit makes, seen before it happens."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import local
from typing import Any, Protocol

from initctl.commit import effects

CHANGING = tuple(effects.__all__)
"""The calls that change files."""
READING = (
    "open",
    "close",
    "fstat",
    "stat",
    "lstat",
    "preadv",
    "pread",
    "listdir",
    "scandir",
    "statvfs",
    "fstatvfs",
    "listxattr",
)
"""The functions of `os` that look at files. They count only if they are not part of a call that changes files."""


class Watch(Protocol):
    def __call__(self, name: str, arguments: tuple[Any, ...], call: Callable[[], Any]) -> Any:
        """Make the `call`, or let something else happen; returns its result."""


@contextmanager
def watched(watch: Watch, *, reading: bool = True) -> Iterator[None]:
    """Let `watch` make all calls of the body."""
    within = local()

    def wrapped(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            if getattr(within, "a_call", False):
                return real(*arguments, **options)
            within.a_call = True
            try:
                return watch(name, arguments, lambda: real(*arguments, **options))
            finally:
                within.a_call = False

        return call

    places = [(effects, name) for name in CHANGING]
    places += [*((os, name) for name in READING if hasattr(os, name)), (fcntl, "flock")] if reading else []
    reals = [(module, name, getattr(module, name)) for module, name in places]
    for module, name, real in reals:
        setattr(module, name, wrapped(name, real))
    try:
        yield
    finally:
        for module, name, real in reals:
            setattr(module, name, real)
