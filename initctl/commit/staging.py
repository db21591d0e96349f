"""A new file or directory that becomes visible at its target only when it is complete.

Both are used in the same way:

    with StagedFile(target) as staged:
        ...                      # write to staged.descriptor
        staged.sync(mode)        # on the disk, but not yet visible
        ...                      # last checks
        staged.commit()          # visible and complete

Leaving without a commit removes what was staged. The staged file is beside the target, so that the last step is a
rename within one directory. It is locked, so that another process knows that it is not left over.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial, wraps
from typing import Self, TypeVar

from initctl import paths
from initctl.commit import effects
from initctl.commit.attributes import new_file_mode
from initctl.commit.claims import beside
from initctl.commit.copying import write_all
from initctl.commit.failure import as_storage_error, storage_errors
from initctl.commit.leftovers import discard, is_there, reclaim
from initctl.commit.new_files import NewDirectory, NewFile
from initctl.commit.replacing import replace_directory, replace_file
from initctl.errors import InitctlError, Problem, StorageError, UncertainError, shown
from initctl.locks import Busy, lock, release
from initctl.traces import staged_path
from initctl.undisturbed import delayed, undisturbed

CHANGED = "another program changed the unfinished result"
Staged = TypeVar("Staged", bound="StagedFile | StagedDirectory")


class _Stage:
    """The place `path` beside `target`, locked, at which something is staged."""

    def __init__(self, target: str) -> None:
        self.target = target
        self.path = staged_path(target)
        self.is_committed = False
        self._lock: int | None = None
        self._is_the_end = False

    def create(self, create: Callable[[], None]) -> None:
        """Let `create` make something at `path`, and lock it. If `reclaim` of another process found it before it was
        locked, begin again at another path.
        """
        while True:
            create()
            with suppress(Busy):
                self._lock = lock(self.path)
                if self._lock is not None or is_there(self.path):
                    return
            discard(self.path)
            self.path = staged_path(self.target)

    def check_same(self) -> None:
        """Raise `StorageError` if another program put something else at `path`."""
        with storage_errors(self.target):
            if self._lock is not None and not os.path.samestat(os.fstat(self._lock), os.lstat(self.path)):
                raise StorageError(Problem("storage.failed", f"{shown(self.target)}: {CHANGED}"))

    def leave(self, error: object, *, is_kept: bool = False) -> None:
        """Remove what is at `path`, maybe because of an `error`. Raises one that names it if it cannot be removed. What
        was replaced may be there by now: nothing is removed then if it `is_kept`.
        """
        is_kept = is_kept and self.is_committed
        with undisturbed() if self._is_the_end else delayed():
            if not is_kept:
                discard(self.path)
            self._release()
        if not is_kept and is_there(self.path):
            self._name_leftover(error)

    def committed(self, on_commit: Callable[[], None], *, is_the_end: bool = True) -> None:
        """What was staged is in place. Call `on_commit`, and let other processes change it from then on. If this
        `is_the_end` of the work, a signal comes too late by now.
        """
        self.is_committed, self._is_the_end = True, is_the_end
        try:
            on_commit()
        finally:
            self._release()

    def _release(self) -> None:
        held, self._lock = self._lock, None
        if held is not None:
            release(held)

    def _name_leftover(self, error: object) -> None:
        """Raise an error that names what is left, besides the `error` of the environment, if there was one."""
        fault = f"{shown(self.path)} could not be removed"
        if error is None:
            place = f"{shown(self.target)}: is in place, but " if self.is_committed else ""
            leftover = Problem("storage.leftover", place + fault, "remove it")
            raise (UncertainError if self.is_committed else StorageError)(leftover)
        if isinstance(error, OSError):
            error = as_storage_error(error, self.target)
        if isinstance(error, InitctlError):
            raise error.extended(f"and {fault}") from error


def _removed_on_a_signal(enter: Callable[[Staged], Staged]) -> Callable[[Staged], Staged]:
    """`enter`, but what it creates is removed if a signal interrupts it: Python raises only after the file exists."""

    @wraps(enter)
    def entered(staged: Staged) -> Staged:
        try:
            return enter(staged)
        except Exception:
            raise
        except BaseException as error:
            staged.__exit__(type(error), error, None)
            raise

    return entered


class StagedFile(NewFile):
    """A new file that replaces `target`."""

    def __init__(self, target: str) -> None:
        self._stage = _Stage(target)
        super().__init__(self._stage.path, target)

    @_removed_on_a_signal
    def __enter__(self) -> Self:
        self._stage.create(self._create)
        return self

    def __exit__(self, *raised: object) -> None:
        try:
            super().__exit__(*raised)
        finally:
            self._stage.leave(raised[1])

    def commit(
        self, *, no_clobber: bool = False, on_commit: Callable[[], None] = lambda: None, is_the_end: bool = True
    ) -> None:
        """Replace the target, as `replace_file` does."""
        self._stage.check_same()
        committed = partial(self._stage.committed, on_commit, is_the_end=is_the_end)
        replace_file(self.path, self.target, no_clobber=no_clobber, on_commit=committed, is_the_end=is_the_end)

    def _create(self) -> None:
        self.path = self._stage.path
        with storage_errors(self.target):
            self._open(is_new=True)


class StagedDirectory(NewDirectory):
    """A new directory that becomes `target`, or replaces it. What was replaced is removed at the end, but not after an
    `UncertainError`.
    """

    def __init__(self, target: str) -> None:
        self._stage = _Stage(target)
        super().__init__(self._stage.path, target)

    @_removed_on_a_signal
    def __enter__(self) -> Self:
        with storage_errors(self.target):
            self._stage.create(self._create)
        return self

    def __exit__(self, *raised: object) -> None:
        self._stage.leave(raised[1], is_kept=isinstance(raised[1], UncertainError))

    def commit(
        self, *, check_before_replacing: Callable[[], None] | None = None, on_commit: Callable[[], None] = lambda: None
    ) -> None:
        """Become the target, or replace it, as `replace_directory` does."""
        self._stage.check_same()
        committed = partial(self._stage.committed, on_commit)
        replace_directory(self.path, self.target, check_before_replacing=check_before_replacing, on_commit=committed)

    def _create(self) -> None:
        self.path = self._stage.path
        effects.make_directory(self.path, 0o700)


def write_file(path: str, parts: Iterable[bytes], *, is_the_end: bool = True) -> None:
    """Write `parts`, in order, to the file `path`, in one step. It keeps the permissions of the old file, if there is
    one. A signal that comes in that step is dropped, if this `is_the_end` of the work.
    """
    with storage_errors(path):
        target = paths.real(path)
        mode = os.stat(target).st_mode if paths.is_there(target) else new_file_mode()
    deque(reclaim(os.path.dirname(target)), maxlen=0)
    with beside(target), StagedFile(target) as staged:
        offset = 0
        for part in parts:
            with storage_errors(path):
                write_all(staged.descriptor, part, offset)
            offset += len(part)
        staged.sync(mode)
        staged.commit(is_the_end=is_the_end)
