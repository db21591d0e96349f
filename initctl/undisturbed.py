"""Steps that a signal must not interrupt."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

ENDING: tuple[int, ...] = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Signals that ask a process to end."""


@contextmanager
def undisturbed() -> Iterator[None]:
    """Hold back signals that ask the process to end until the body is done. If it succeeds, they are dropped."""
    with delayed() as waiting:
        yield
        waiting.clear()


@contextmanager
def delayed() -> Iterator[list[int]]:
    """Hold back signals that ask the process to end until the body is done. Yields those that came.

    Python handles signals in its main thread only, so other threads need no protection.
    """
    waiting: list[int] = []
    if threading.get_ident() != threading.main_thread().ident:
        yield waiting
        return
    handlers = {number: signal.signal(number, lambda number, _: waiting.append(number)) for number in ENDING}
    try:
        yield waiting
    finally:
        for number, handler in handlers.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        for number in waiting[:1]:
            signal.raise_signal(number)
