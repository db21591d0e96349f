"""A signal that asks the process to end waits for a step that must not be cut in two."""

from __future__ import annotations

import signal
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from initctl.errors import Problem, UncertainError
from initctl.undisturbed import ENDING, delayed, undisturbed

if TYPE_CHECKING:
    from collections.abc import Iterator


class Ended(BaseException):
    """What the handler of the test raises."""


@pytest.fixture(params=[signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def number(request: pytest.FixtureRequest) -> Iterator[int]:
    def end(*_: object) -> None:
        raise Ended

    before = signal.signal(request.param, end)
    yield request.param
    signal.signal(request.param, before)


def test_it_comes_too_late_where_the_step_succeeds(number: int):
    done = []
    with undisturbed():
        signal.raise_signal(number)
        done.append("after the signal")
    assert done == ["after the signal"]


def fail_after(number: int) -> None:
    with undisturbed():
        signal.raise_signal(number)
        raise OSError


def test_it_ends_the_process_once_the_step_has_failed(number: int):
    with pytest.raises(Ended) as raised:
        fail_after(number)
    assert isinstance(raised.value.__context__, OSError)


def test_the_handler_is_in_force_again_afterwards(number: int):
    with undisturbed():
        pass
    with pytest.raises(Ended):
        signal.raise_signal(number)


@pytest.mark.parametrize("moment", range(2 * len(ENDING)))
def test_all_handlers_are_put_back_even_if_one_raises_while_they_are_exchanged(
    number: int, moment: int, monkeypatch: pytest.MonkeyPatch
):
    before = {other: signal.getsignal(other) for other in ENDING}
    exchange, exchanged = signal.signal, []

    def exchange_while_a_signal_comes(other: int, handler: object) -> object:
        exchanged.append(other)
        result = exchange(other, handler)
        if len(exchanged) == moment + 1:
            signal.raise_signal(number)
        return result

    with monkeypatch.context() as patched:
        patched.setattr(signal, "signal", exchange_while_a_signal_comes)
        with suppress(Ended), undisturbed():
            pass
    assert {other: signal.getsignal(other) for other in ENDING} == before


def test_a_signal_that_is_ignored_does_not_hide_one_that_ends_the_process():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with pytest.raises(KeyboardInterrupt):
            get_both()
    finally:
        signal.signal(signal.SIGHUP, before)


def get_both() -> None:
    with delayed():
        signal.raise_signal(signal.SIGHUP)
        signal.raise_signal(signal.SIGINT)


def test_it_comes_too_late_also_if_the_step_ends_with_the_error_of_a_late_moment():
    with pytest.raises(UncertainError, match="late"):
        succeed_in_doubt()


def succeed_in_doubt() -> None:
    with undisturbed(even_if=UncertainError):
        signal.raise_signal(signal.SIGINT)
        raise UncertainError(Problem("late", "late"))


def test_another_thread_needs_no_handlers():
    done = []

    def step() -> None:
        with undisturbed():
            done.append(threading.current_thread().name)

    thread = threading.Thread(target=step, name="other")
    thread.start()
    thread.join()
    assert done == ["other"]
