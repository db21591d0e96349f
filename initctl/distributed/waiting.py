"""Waits for other ranks that a signal can end. torch waits in code that lets no signal through."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, wait
from threading import Thread
from typing import Any, TypeVar

_Found = TypeVar("_Found")

_left: list[Future[Any]] = []
"""What threads still wait for, although nobody wants it any more."""


def waited(call: Callable[[], _Found], seconds: float = 0, on_wait: Callable[[], None] | None = None) -> _Found:
    """What `call` returns or raises. It runs in a thread of its own, which is left to itself if a signal raises here.

    `on_wait` is called once if it takes more than `seconds`.
    """
    found: Future[_Found] = Future()
    Thread(target=_run, args=(call, found), name="initctl_wait", daemon=True).start()
    try:
        if on_wait and not wait([found], seconds).done:
            on_wait()
        return found.result()
    except BaseException:
        if not found.done():
            _left.append(found)
        raise


def is_one_left() -> bool:
    """Whether a thread still waits that was left to itself. If it goes on while Python ends, the process crashes."""
    return not all(found.done() for found in _left)


def _run(call: Callable[[], _Found], found: Future[_Found]) -> None:
    try:
        found.set_result(call())
    except BaseException as error:  # noqa: BLE001 - raised where it is waited for
        found.set_exception(error)
