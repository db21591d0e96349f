"""Signals that ask the process to end: an exception while there is something to undo, nothing once it is done."""

from __future__ import annotations

import signal
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import FrameType

_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

_heeded = True
"""Whether a signal still ends the process."""
_ignored: list[int] = []
"""The signals that `ignore_signals` took from it."""


class Ended(BaseException):
    """A signal asked the process to end; cleanup runs as for any exception."""

    def __init__(self, number: int) -> None:
        super().__init__(f"interrupted by {signal.Signals(number).name}")
        self.number = number


def raise_on_signals() -> None:
    """Let the first signal raise `Ended`, but for those that the caller ignores, as nohup and background jobs do."""
    _raise_on([number for number in _ENDING if signal.getsignal(number) is not signal.SIG_IGN])


@contextmanager
def heeded_signals() -> Iterator[None]:
    """Undo `ignore_signals` for as long as this: for work whose result can still be missing."""
    try:
        _raise_on(_ignored)
        yield
    finally:
        ignore_signals()


def _raise_on(numbers: Iterable[int]) -> None:
    global _heeded
    _heeded = True
    for number in numbers:
        signal.signal(number, _end)
    _ignored.clear()


def ignore_signals() -> None:
    """From here on nothing can be undone: let the process come to its own end. Undoes `raise_on_signals` only.

    Where other handlers stand in for the moment, as in a step that is not to be disturbed, a signal is ignored once
    they hand it back. Called again after that, this covers the time when Python ends and takes back its own handlers.
    """
    global _heeded
    _heeded = False
    for number in _ENDING:
        if signal.getsignal(number) is _end:
            signal.signal(number, signal.SIG_IGN)
            _ignored.append(number)


def _end(number: int, _: FrameType | None) -> None:
    if _heeded:
        ignore_signals()  # what cleans up is not to be interrupted again
        raise Ended(number)
