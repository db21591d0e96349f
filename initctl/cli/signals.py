"""Signals that ask the process to end. They raise an exception while work can be undone, and are ignored afterwards."""

from __future__ import annotations

import signal
import sys
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import FrameType

_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

_heeded = True
"""Whether a signal still ends the process."""
_ignored: list[int] = []
"""The signals that `ignore_signals` has set to be ignored."""
_dropped: deque[sys.UnraisableHookArgs] = deque(maxlen=10)
"""Exceptions that Python cannot raise, because a destructor or a dying thread raised them."""


class Ended(BaseException):
    """A signal asked the process to end; cleanup runs as for any exception."""

    def __init__(self, number: int) -> None:
        super().__init__(f"interrupted by {signal.Signals(number).name}")
        self.number = number


def raise_on_signals() -> None:
    """Let the first signal raise `Ended`. Signals that the caller ignores, as nohup does, stay ignored."""
    _raise_on([number for number in _ENDING if signal.getsignal(number) is not signal.SIG_IGN])


def drop_unraisable() -> None:
    """Let Python write nothing about exceptions that it cannot raise; `_end` looks at them.

    Python writes a traceback of them by default, also if two signals come at once and the first is handled by ignoring
    both. The hook is not a function of Python, for which a thread that dies for lack of memory has no room.
    """
    sys.unraisablehook = _dropped.append


@contextmanager
def heeded_signals() -> Iterator[None]:
    """Undo `ignore_signals` for the body of the `with`: for work that a signal may still end."""
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
    """Ignore signals from now on, because nothing can be undone any more. Only undoes `raise_on_signals`.

    A step that must not be disturbed has other handlers; a signal is ignored when it puts the old ones back. Call this
    again after such a step, so that signals are also ignored while Python shuts down.
    """
    global _heeded
    _heeded = False
    for number in _ENDING:
        if signal.getsignal(number) is _end:
            signal.signal(number, signal.SIG_IGN)
            _ignored.append(number)


def _end(number: int, _: FrameType | None) -> None:
    """End the process, unless it ends already: cleaning up must not be interrupted again.

    The handler stays. If it ignored signals that have come at the same time, Python would complain about them.
    """
    global _heeded
    if _heeded or any(isinstance(dropped.exc_value, Ended) for dropped in _dropped):
        _heeded = False
        _dropped.clear()
        raise Ended(number)
