"""Signals that ask the process to end. They raise an exception while work can be undone, and are ignored afterwards."""

from __future__ import annotations

import signal
import sys
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING
from weakref import ref

from initctl.undisturbed import ENDING

if TYPE_CHECKING:
    from types import FrameType

_heeded = True
"""Whether a signal still ends the process."""
_ignored: list[int] = []
"""The signals that `ignore_signals` has set to be ignored."""


_raised: ref[Ended] | None = None
"""What the last signal raised."""


class Ended(BaseException):
    """A signal asked the process to end; cleanup runs as for any exception."""

    def __init__(self, number: int) -> None:
        super().__init__(f"interrupted by {signal.Signals(number).name}")
        self.number = number


def raise_on_signals() -> None:
    """Let the first signal raise `Ended`. Signals that the caller ignores, as nohup does, stay ignored."""
    _raise_on([number for number in ENDING if signal.getsignal(number) is not signal.SIG_IGN])


def drop_unraisable() -> None:
    """Let Python write nothing about exceptions that it cannot raise, such as those of destructors and dying threads.

    Python writes a traceback of them by default. The hook is not a function of Python, for which a thread that dies for
    lack of memory has no room. It keeps nothing: a thread is over only when nobody refers to it.
    """
    nothing: deque[object] = deque(maxlen=0)
    sys.unraisablehook = nothing.append


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
    for number in ENDING:
        if signal.getsignal(number) is _end:
            signal.signal(number, signal.SIG_IGN)
            _ignored.append(number)


def _end(number: int, _: FrameType | None) -> None:
    """End the process, unless it ends already: cleaning up must not be interrupted again.

    The handler stays. If it ignored signals that have come at the same time, Python would complain about them. If the
    exception is gone before the process ends, since a destructor raised it, the next signal raises another.
    """
    global _heeded, _raised
    if _heeded or (_raised and not _raised()):
        _heeded = False
        end = Ended(number)
        _raised = ref(end)
        try:
            raise end
        finally:
            del end  # its own traceback leads here, and would keep it alive
