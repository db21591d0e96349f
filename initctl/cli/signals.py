"""Signals that ask the process to end: an exception while there is something to undo, nothing once it is done."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from types import FrameType

_ENDING = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]


class Ended(BaseException):
    """A signal asked the process to end; cleanup runs as for any exception."""

    def __init__(self, number: int) -> None:
        super().__init__(f"interrupted by {signal.Signals(number).name}")
        self.number = number


def raise_on_signals() -> None:
    """Let signals raise `Ended`, but for those that the caller ignores, as nohup and background jobs do."""
    for number in _ENDING:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _end)


def ignore_signals() -> None:
    """From here on nothing can be undone: let the process come to its own end. Undoes `raise_on_signals` only."""
    for number in _ENDING:
        if signal.getsignal(number) is _end:
            signal.signal(number, signal.SIG_IGN)


def _end(number: int, _: FrameType | None) -> NoReturn:
    ignore_signals()  # what cleans up is not to be interrupted again
    raise Ended(number)
