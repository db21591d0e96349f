"""What each process makes for itself, although it was forked from one that has made its own: connections."""

from __future__ import annotations

import os
from threading import Lock
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

_T = TypeVar("_T")


class PerProcess(Generic[_T]):
    """What `make` returns, made when a process asks for it first. Two processes that share a connection read each
    other's answers.

    What a process that is forked finds here is left as it is: to close it would disturb the other process.
    """

    def __init__(self, make: Callable[[], _T]) -> None:
        self._make = make
        self._made: dict[int, _T] = {}
        self._locks: dict[int, Lock] = {}

    def __call__(self) -> _T:
        process = os.getpid()
        with self._locks.setdefault(process, Lock()):  # a thread that was not forked may hold the old one
            if process not in self._made:
                self._made[process] = self._make()
            return self._made[process]
