"""Waits for other ranks that a signal can end. torch waits in code that lets no signal through."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from contextlib import contextmanager
from datetime import timedelta
from threading import Thread
from typing import Any, TypeVar

_Found = TypeVar("_Found")

_left: list[Future[Any]] = []
"""What threads still wait for, although nobody wants it any more."""


def waited(call: Callable[[], _Found]) -> _Found:
    """What `call` returns or raises. It runs in another thread, which is left to itself if a signal raises here."""
    with _started(call) as found:
        return found.result()


def waited_until(
    call: Callable[[], _Found], limit: timedelta, patience: timedelta, on_wait: Callable[[], None]
) -> _Found:
    """The same; but raises `TimeoutError` if it takes longer than `limit`. `on_wait` is called once it takes longer
    than `patience`.
    """
    with _started(call) as found:
        if not wait([found], patience.total_seconds()).done:
            on_wait()
        if not wait([found], (limit - patience).total_seconds()).done:
            raise TimeoutError(f"{limit // timedelta(minutes=1)} minutes have passed")
        return found.result()


def is_one_left() -> bool:
    """Whether a thread still waits that was left to itself. If it goes on while Python ends, the process crashes."""
    return not all(found.done() for found in _left)


@contextmanager
def _started(call: Callable[[], _Found]) -> Iterator[Future[_Found]]:
    """What `call` will return, from a thread of its own. If the body raises before that, the thread is left."""
    found: Future[_Found] = Future()
    Thread(target=_run, args=(call, found), name="initctl_wait", daemon=True).start()
    try:
        yield found
    except BaseException:
        if not found.done():
            _left.append(found)
        raise


def _run(call: Callable[[], _Found], found: Future[_Found]) -> None:
    try:
        found.set_result(call())
    except BaseException as error:  # noqa: BLE001 - raised where it is waited for
        found.set_exception(error)
