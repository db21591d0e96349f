"""Waits for other ranks that a signal can end. torch waits in code that lets no signal through."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, wait
from datetime import timedelta
from threading import Thread
from typing import Any, TypeVar

_Found = TypeVar("_Found")

_left: list[Future[Any]] = []
"""What threads still wait for, although nobody wants it any more."""


def waited(call: Callable[[], _Found]) -> _Found:
    """What `call` returns or raises. It runs in another thread, which is left to itself if a signal raises here."""
    return _result(_started(call))


def waited_until(
    call: Callable[[], _Found], limit: timedelta, patience: timedelta, on_wait: Callable[[], None]
) -> _Found:
    """The same; but raises `TimeoutError` if it takes longer than `limit`. `on_wait` is called once it takes longer
    than `patience`.
    """
    found = _started(call)
    if not _is_done(found, patience):
        on_wait()
    if not _is_done(found, limit - patience):
        _left.append(found)
        raise TimeoutError(f"{limit // timedelta(minutes=1)} minutes have passed")
    return _result(found)


def is_one_left() -> bool:
    """Whether a thread still waits that was left to itself. If it goes on while Python ends, the process crashes."""
    return not all(found.done() for found in _left)


def _started(call: Callable[[], _Found]) -> Future[_Found]:
    found: Future[_Found] = Future()
    Thread(target=_run, args=(call, found), name="initctl_wait", daemon=True).start()
    return found


def _run(call: Callable[[], _Found], found: Future[_Found]) -> None:
    try:
        found.set_result(call())
    except BaseException as error:  # noqa: BLE001 - raised where it is waited for
        found.set_exception(error)


def _is_done(found: Future[_Found], limit: timedelta) -> bool:
    try:
        return bool(wait([found], limit.total_seconds()).done)
    except BaseException:
        _left.append(found)
        raise


def _result(found: Future[_Found]) -> _Found:
    try:
        return found.result()
    except BaseException:
        if not found.done():
            _left.append(found)
        raise
