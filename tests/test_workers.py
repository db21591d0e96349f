"""Threads run each task once, or stop together."""

from __future__ import annotations

import _thread
import sys
import threading
from queue import SimpleQueue
from typing import TYPE_CHECKING

import pytest

import initctl
from initctl.events import Progress
from initctl.threads import start
from initctl.workers import Task, Workers
from tests.execution.checkpoints import single

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def recorded(log: list[str], *, together: threading.Barrier | None = None, fails: bool = False) -> Task:
    """A task of one byte that notes who ran it, waits for another thread if it is to, or fails."""

    def run() -> None:
        if together:
            together.wait(timeout=30)
        if fails:
            raise RuntimeError("broken")
        log.append(threading.current_thread().name)

    return Task(1, run)


@pytest.mark.parametrize("threads", [1, 2, 7])
def test_as_many_threads_as_asked_for_write_at_the_same_time(threads: int):
    log: list[str] = []
    together = threading.Barrier(threads)
    with Workers(threads) as workers:
        workers.run([recorded(log, together=together) for _ in range(3 * threads)])
    assert len(log) == 3 * threads
    assert len(set(log)) == threads


def test_progress_is_told_by_the_callers_thread_and_ends_with_the_total():
    told, teller = [], set()

    def on_progress(progress: Progress) -> None:
        told.append(progress)
        teller.add(threading.current_thread())

    with Workers(3, on_progress) as workers:
        workers.total += 30
        for _ in range(2):  # files
            workers.run([recorded([]) for _ in range(15)])
    assert told[-1] == Progress(30, 30)
    assert [progress.done for progress in told] == sorted(progress.done for progress in told)
    assert teller == {threading.current_thread()}


def test_bytes_that_need_no_task_are_reported_as_done():
    reported: list[Progress] = []
    with Workers(1, reported.append) as workers:
        workers.total += 7
        workers.advance(7)
        workers.advance(0)
    assert reported == [Progress(7, 7)]


def test_a_failure_is_raised_when_no_thread_is_at_work_and_ends_the_rest():
    handed_out: list[int] = []
    log: list[str] = []

    def endless() -> Iterator[Task]:
        while True:
            handed_out.append(1)
            yield recorded(log, fails=len(handed_out) == 10)

    with Workers(2) as workers:
        with pytest.raises(RuntimeError, match="broken"):
            workers.run(endless())
        assert workers.is_stopping
        assert len(handed_out) < 20
        done = len(log)
        workers.run([])
        assert len(log) == done
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("initctl")]


def test_tasks_are_made_only_as_they_are_needed():
    alive = []

    def counted() -> Iterator[Task]:
        for number in range(100):
            alive.append(number)
            yield recorded([])

    def stop(_: Progress) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), Workers(3, stop) as workers:
        workers.run(counted())
    assert len(alive) == 6


def test_where_no_thread_can_be_started_the_environment_has_failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    source = single(tmp_path / "in")

    def fail(*_: object) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(_thread, "start_new_thread", fail)
    with pytest.raises(initctl.StorageError, match="the system cannot start more threads; use fewer"):
        initctl.apply(source, tmp_path / "out", rules=["*.weight=normal"])
    assert list(tmp_path.iterdir()) == [source]


def test_a_thread_that_is_over_says_so_however_it_ends():
    ends: SimpleQueue[object] = SimpleQueue()
    for run in (int, sys.exit):
        end = start(run, ends=ends)
        assert ends.get(timeout=30) is end


def test_a_thread_that_dies_before_it_works_is_not_waited_for(monkeypatch: pytest.MonkeyPatch):
    """As it does if the system has memory for a thread, but none for the first function that it calls."""
    monkeypatch.setattr("initctl.workers._work", lambda *_: sys.exit())
    with pytest.raises(MemoryError), Workers(2) as workers:
        workers.run([recorded([])] * 9)
