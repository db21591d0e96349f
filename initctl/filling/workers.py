"""Pieces over threads, with progress."""

from __future__ import annotations

from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from initctl.filling.events import Progress
from initctl.threads import submit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_WAITING_FOR_EACH = 2
"""Pieces handed out for each thread: enough to keep it busy, few enough to stop soon."""


class Piece(Protocol):
    """Some bytes of the output, which depend on no other piece."""

    @property
    def offset(self) -> int:
        """Where they begin in the file."""

    @property
    def nbytes(self) -> int: ...

    def write(self, destination: int) -> None:
        """Put the bytes into descriptor `destination`."""


@dataclass(slots=True)
class Workers:
    """Writes pieces in `threads` threads, and tells `on_progress` from the caller's."""

    threads: int
    on_progress: Callable[[Progress], None] | None = None
    done: int = 0
    total: int = 0

    def expect(self, nbytes: int) -> None:
        """Say how many bytes there will be, for progress."""
        self.total += nbytes

    def advance(self, nbytes: int) -> None:
        """Count bytes as written, and tell."""
        self.done += nbytes
        if self.on_progress:
            self.on_progress(Progress(self.done, self.total))

    def write(self, pieces: Iterable[Piece], destination: int) -> None:
        """Write all of `pieces`. The first failure is raised once no thread is at work any more.

        Raises `StorageError` where the system starts no thread.
        """
        pending: set[Future[int]] = set()
        pool = ThreadPoolExecutor(self.threads, thread_name_prefix="initctl")
        try:
            for piece in pieces:
                pending.add(submit(pool, _write, piece, destination))
                if len(pending) >= _WAITING_FOR_EACH * self.threads:
                    pending = self._wait(pending)
            while pending:
                pending = self._wait(pending)
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

    def _wait(self, pending: set[Future[int]]) -> set[Future[int]]:
        finished, pending = wait(pending, return_when=FIRST_COMPLETED)
        if nbytes := sum(future.result() for future in finished):
            self.advance(nbytes)
        return pending


def _write(piece: Piece, destination: int) -> int:
    piece.write(destination)
    return piece.nbytes
