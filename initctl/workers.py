"""Tasks over threads, with progress."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import NamedTuple, Self

from initctl.events import Progress
from initctl.threads import End, start

_WAITING_FOR_EACH = 2
"""Tasks handed out for each thread: enough to keep it busy, few enough to stop soon."""


class Task(NamedTuple):
    """A piece of work, independent of other tasks: calling `run` adds `nbytes` to the progress.

    If it writes to a file, it starts at byte `offset`.
    """

    nbytes: int
    run: Callable[[], object]
    offset: int = 0


class Workers:
    """Runs tasks in `threads` threads, while it is entered, and reports to `on_progress` from the caller's thread.

    Handing over a task takes a tenth of the time of `concurrent.futures`, whose tasks are awaited in sets.
    """

    def __init__(self, threads: int, on_progress: Callable[[Progress], None] | None = None) -> None:
        self.threads, self.on_progress = threads, on_progress
        self.done = self.total = 0
        """Bytes so far, and in total. Callers add their tasks to the total before they run them."""
        self.is_stopping = False
        """Whether a task failed or the caller was interrupted: a long task ends when it sees that."""
        self._alive: set[End] = set()
        """The threads that run."""
        self._waiting: SimpleQueue[Task | None] = SimpleQueue()
        """Tasks that no thread has taken yet; None ends the thread that takes it."""
        self._ended: SimpleQueue[int | BaseException | End] = SimpleQueue()
        """The bytes of each finished task, or the exception that it raised; and each thread that is over."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    @property
    def ahead(self) -> int:
        """The number of tasks that are handed out before waiting for the first."""
        return _WAITING_FOR_EACH * self.threads - 1

    def run(self, tasks: Iterable[Task]) -> None:
        """Run all `tasks`, which are made when they are needed. Raises the first failure after all threads stopped.

        Raises `StorageError` if the system cannot start a thread, and `MemoryError` if one died for lack of memory.
        """
        pending = 0
        try:
            for task in tasks:
                self._hand_out(task)
                pending += 1
                if pending > self.ahead:
                    self._wait()
                    pending -= 1
            for _ in range(pending):
                self._wait()
        except BaseException:
            self.is_stopping = True
            self._end()
            raise

    def advance(self, nbytes: int) -> None:
        """Report that `nbytes` more are done."""
        self.done += nbytes
        if nbytes and self.on_progress:
            self.on_progress(Progress(self.done, self.total))

    def _hand_out(self, task: Task) -> None:
        self._waiting.put(task)
        if len(self._alive) < self.threads:
            self._alive.add(start(_work, self._waiting, self._ended, ends=self._ended))

    def _wait(self) -> None:
        """Wait for the next task to end."""
        ended = self._ended.get()
        if isinstance(ended, BaseException):
            raise ended
        if isinstance(ended, int):
            self.advance(ended)
            return
        self._alive.discard(ended)
        raise MemoryError

    def _end(self) -> None:
        """Let each thread finish its task and start no other."""
        with suppress(Empty):
            while True:
                self._waiting.get_nowait()
        for _ in self._alive:
            self._waiting.put(None)
        while self._alive:
            ended = self._ended.get()
            if not isinstance(ended, int | BaseException):
                self._alive.discard(ended)
        self._waiting, self._ended = SimpleQueue(), SimpleQueue()


def _work(waiting: SimpleQueue[Task | None], ended: SimpleQueue[int | BaseException]) -> None:
    """Run tasks as they come."""
    while task := waiting.get():
        try:
            task.run()
        except BaseException as error:  # noqa: BLE001 - raised in the thread that waits
            ended.put(error)
        else:
            ended.put(task.nbytes)
        del task
