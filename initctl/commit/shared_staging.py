"""A result that several processes stage together, at once or one after another, before one of them commits it.

Its directory is beside the target and holds notes and the `result`. A commit notes the inode of the result before it
moves anything, so that a later process sees how far a commit came that was killed.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from initctl import paths
from initctl.commit import effects
from initctl.commit.copying import write_all
from initctl.commit.failure import storage_errors
from initctl.commit.leftovers import discard, is_there
from initctl.commit.new_files import NewDirectory, NewFile, sync_directory
from initctl.commit.staging import StagedFile, write_file
from initctl.commit.tree import tree
from initctl.errors import ConflictError, Problem, StorageError, UncertainError, listed, shown
from initctl.locks import patiently, release
from initctl.traces import are_parts
from initctl.undisturbed import undisturbed

_COMMITTING = "committing"


class SharedStaging:
    """The directory beside `target` in which processes that know its `name` stage one result, and leave notes.

    Nothing removes it but `remove`: a process that ends halfway can be run again.
    """

    def __init__(self, target: str, name: str) -> None:
        self.target = target
        parent = os.path.dirname(target)
        ends = ("parts", "result", "gone")
        self.path, self._outgoing, self._gone = (os.path.join(parent, f".{name}.{end}") for end in ends)
        self._result = os.path.join(self.path, "result")

    def others(self) -> list[str]:
        """Other directories of this kind beside the target: of other results, or of this one by another name."""
        parent, own = os.path.split(self.path)
        found = (name for name in os.listdir(parent) if are_parts(name) and name.endswith(".parts") and name != own)
        return sorted(os.path.join(parent, name) for name in found)

    @property
    def shown(self) -> str:
        """What a user must remove to begin again."""
        return " and ".join(shown(path) for path in (self.path, self._outgoing) if paths.is_there(path))

    @property
    def result(self) -> str:
        """The path of the result: in the directory; or beside the target, once the commit of a directory has begun."""
        return self._result if paths.is_there(self._result) or not paths.is_there(self._outgoing) else self._outgoing

    def make(self) -> None:
        """Make the directory, unless it exists."""
        with storage_errors(self.target):
            with suppress(FileExistsError):
                effects.make_directory(self.path, 0o700)
            sync_directory(os.path.dirname(self.path))

    def file(self, name: str | None) -> NewFile:
        """The file `name` of the result, which is a directory; or the result, if that is one file and the name is None.
        Every process may open it.
        """
        if name is None:
            return NewFile(self.result, self.target, is_shared=True)
        return NewDirectory(self.result, self.target, is_shared=True).file(name)

    def note(self, name: str) -> bytes | None:
        """The content of the note `name`, if it is there."""
        with storage_errors(self.target):
            try:
                with open(os.path.join(self.path, name), "rb") as stream:
                    return stream.read()
            except FileNotFoundError:
                return None

    def leave(self, name: str, content: bytes) -> None:
        """Write the note `name` in one step, and flush it to the disk."""
        with self._noting():
            write_file(os.path.join(self.path, name), [content], is_the_end=False)

    def leave_first(self, name: str, content: bytes) -> bytes:
        """Write the note `name` unless it is there. Returns what it says then: of several processes, one is first."""
        with self._noting(), StagedFile(os.path.join(self.path, name)) as staged, suppress(ConflictError):
            with storage_errors(self.target):
                write_all(staged.descriptor, content, 0)
            staged.sync(0o600)
            staged.commit(no_clobber=True, is_the_end=False)
        found = self.note(name)
        return content if found is None else found

    @contextmanager
    def _noting(self) -> Iterator[None]:
        """The body writes a note. If it raises `UncertainError`, that is about the note: the result is not in place."""
        try:
            yield
        except UncertainError as error:
            fault = f"{shown(self.target)}: is not written yet: {shown(self.path)} could not be flushed to the disk"
            raise StorageError(Problem("storage.failed", fault, "run the same command again")) from error

    def sync_names(self) -> None:
        """Flush the names of all files in the result to the disk."""
        with storage_errors(self.target):
            if paths.is_directory(self.result):
                for directory, _ in tree(self.result):
                    sync_directory(directory)

    @contextmanager
    def used(self, note: str) -> Iterator[Callable[[], None]]:
        """The body uses the directory. Raises `ConflictError` if another process is just committing it.

        `note` must be there. File systems without locks go without this. Yields a function that raises the error if the
        directory was removed meanwhile: what was written into it is lost.
        """
        with self._locked(note, fcntl.LOCK_SH, "is just being put in place") as check_same:
            yield check_same

    @contextmanager
    def leaving(self, name: str) -> Iterator[None]:
        """The body works on what the note `name` is about. Raises `ConflictError` if another process does already."""
        with self._locked(f"{name}.lock", fcntl.LOCK_EX, "another process is just writing this part", is_new=True):
            yield

    @contextmanager
    def alone(self, note: str) -> Iterator[None]:
        """No other process uses the directory while the body does. Raises `ConflictError` if one does already."""
        with self._locked(note, fcntl.LOCK_EX, "another process is just writing or committing it"):
            yield

    @contextmanager
    def _locked(self, note: str, kind: int, fault: str, *, is_new: bool = False) -> Iterator[Callable[[], None]]:
        busy = ConflictError(Problem("parts.busy", f"{shown(self.target)}: {fault}", "wait until it has ended"))
        path = os.path.join(self.path, note)
        try:
            descriptor = effects.create(path, mode=0o600, may_exist=True) if is_new else os.open(path, os.O_RDWR)
        except FileNotFoundError:
            raise busy from None
        try:
            with suppress(OSError):
                try:
                    patiently(lambda: fcntl.flock(descriptor, kind | fcntl.LOCK_NB))
                except BlockingIOError:
                    raise busy from None
            inode = os.fstat(descriptor).st_ino

            def check_same() -> None:
                if _inode(path) != inode:  # it was put in place, or removed
                    raise busy

            check_same()
            yield check_same
        finally:
            release(descriptor)

    def begin_commit(self) -> str:
        """Note which inode takes the target's place. Returns the path of the result from now on.

        A directory is moved beside the target. There its permissions may forbid to write: it need not be moved to
        another parent any more.
        """
        with storage_errors(self.target):
            if self.result == self._outgoing and self._noted() == _inode(self._outgoing):
                return self._outgoing
            self.leave(_COMMITTING, str(_inode(self._result)).encode())
            if not paths.is_directory(self._result):
                return self._result
            discard(self._outgoing)
            effects.rename(self._result, self._outgoing)
            return self._outgoing

    @property
    def is_spent(self) -> bool:
        """Whether a commit that was killed came as far as its last step: its result is in place, or no longer here."""
        noted, here = self._noted(), (_inode(self._result), _inode(self._outgoing))
        return noted is not None and (noted == _inode(self.target) or noted not in here)

    @property
    def is_left_over(self) -> bool:
        """Whether only what `sweep` removes is here: a commit was killed while it removed the directory. The target is
        there, and is the result unless the note that says so is removed already.
        """
        if not paths.is_there(self._gone) or paths.is_there(self.path):
            return False
        there = _inode(self.target)
        return there is not None and _noted_in(self._gone) in (there, None)

    @property
    def is_in_place(self) -> bool:
        """Whether a commit that was killed let the result take the target's place."""
        noted = self._noted()
        return self.is_left_over or (noted is not None and noted == _inode(self.target))

    def remove(self) -> None:
        """Remove what was replaced, then the directory with all notes: as one step, for other processes.

        Raises `UncertainError` if something cannot be removed.
        """
        with undisturbed():
            discard(self._outgoing)
            self.sweep()
            with suppress(OSError):  # it is named below
                effects.rename(self.path, self._gone)
            self.sweep()
        if left := [path for path in (self._gone, self._outgoing, self.path) if is_there(path)]:
            message = f"{shown(self.target)}: is in place, but {listed(list(map(shown, left)))} could not be removed"
            raise UncertainError(Problem("storage.leftover", message, "remove it"))

    def sweep(self) -> None:
        """Remove what `remove` left if its process was killed."""
        discard(self._gone)

    def _noted(self) -> int | None:
        """The inode that a commit has noted."""
        return _noted_in(self.path)


def _noted_in(directory: str) -> int | None:
    try:
        with open(os.path.join(directory, _COMMITTING), "rb") as stream:
            content = stream.read()
    except OSError:
        return None
    return int(content) if content.isdigit() else None


def _inode(path: str) -> int | None:
    try:
        return os.lstat(path).st_ino
    except FileNotFoundError:
        return None
