"""Steps that a signal must not interrupt."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, TypeAlias

_Handlers: TypeAlias = dict[int, Callable[[int, FrameType | None], Any] | int | None]
ENDING: tuple[int, ...] = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Signals that ask a process to end."""


@contextmanager
def undisturbed(*, even_if: type[BaseException] | tuple[()] = ()) -> Iterator[None]:
    """Hold back signals that ask the process to end until the body is done. If it succeeds, or raises `even_if`, they
    are dropped: they came too late.
    """
    with delayed() as waiting:
        try:
            yield
        except even_if:
            waiting.clear()
            raise
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
    handlers: _Handlers = {number: signal.getsignal(number) for number in ENDING}
    try:
        for number in ENDING:
            signal.signal(number, lambda number, _: waiting.append(number))
        yield waiting
    finally:
        _restore(handlers)
        for number in [number for number in waiting if signal.getsignal(number) != signal.SIG_IGN][:1]:
            signal.raise_signal(number)


def _restore(handlers: _Handlers) -> None:
    """Put all `handlers` back, even if one of them raises an exception meanwhile."""
    try:
        while handlers:
            number, handler = next(iter(handlers.items()))
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
            del handlers[number]
    finally:
        if handlers:
            _restore(handlers)
