"""Tasks over threads, with progress."""

from __future__ import annotations

from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import TYPE_CHECKING, NamedTuple, Self

from initctl.events import Progress
from initctl.threads import submit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_WAITING_FOR_EACH = 2
"""Tasks handed out for each thread: enough to keep it busy, few enough to stop soon."""


class Task(NamedTuple):
    """A piece of work that depends on no other task: calling `run` adds `nbytes` to the progress.

    If it writes to a file, it begins at byte `offset`.
    """

    nbytes: int
    run: Callable[[], object]
    offset: int = 0


class Workers:
    """Runs tasks in `threads` threads, while it is entered, and reports to `on_progress` from the caller's thread."""

    def __init__(self, threads: int, on_progress: Callable[[Progress], None] | None = None) -> None:
        self.threads, self.on_progress = threads, on_progress
        self.done = self.total = 0
        """Bytes: so far, and in all. Whoever hands out tasks adds theirs to the total first."""
        self.is_stopping = False
        """Whether a task failed, or the caller was interrupted: a long task ends as soon as it sees that."""

    def __enter__(self) -> Self:
        self._pool = ThreadPoolExecutor(self.threads, thread_name_prefix="initctl")
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)

    @property
    def ahead(self) -> int:
        """Tasks that are handed out before any of them is waited for."""
        return _WAITING_FOR_EACH * self.threads - 1

    def run(self, tasks: Iterable[Task]) -> None:
        """Run all of `tasks`, which are made as they are needed. The first failure is raised once no thread is at work
        any more.

        Raises `StorageError` if the system starts no thread.
        """
        pending: set[Future[int]] = set()
        try:
            for task in tasks:
                pending.add(submit(self._pool, _run, task))
                if len(pending) > self.ahead:
                    pending = self._wait(pending)
            while pending:
                pending = self._wait(pending)
        except BaseException:
            self.is_stopping = True
            raise
        finally:
            for future in pending:
                future.cancel()
            wait(pending)

    def _wait(self, pending: set[Future[int]]) -> set[Future[int]]:
        finished, pending = wait(pending, return_when=FIRST_COMPLETED)
        self.advance(sum(future.result() for future in finished))
        return pending

    def advance(self, nbytes: int) -> None:
        """Report that `nbytes` more are done."""
        self.done += nbytes
        if nbytes and self.on_progress:
            self.on_progress(Progress(self.done, self.total))


def _run(task: Task) -> int:
    task.run()
    return task.nbytes
