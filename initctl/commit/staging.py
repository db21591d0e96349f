"""A file or a directory on its way to its target: invisible until it is complete, gone if it never is.

Both are used in the same way:

    with StagedFile(target) as staged:
        ...                      # write to staged.descriptor
        staged.sync(mode)        # on the disk, but not yet seen
        ...                      # last checks
        staged.commit()          # seen, whole

Leaving without a commit removes what was staged. The staged name stands beside the target, so that the last step is a
rename within one directory.
"""

from __future__ import annotations

import os
import secrets
import shutil
import stat
from contextlib import suppress
from functools import cache
from hashlib import blake2b
from typing import TYPE_CHECKING, Self

from initctl.commit.exchange import exchange
from initctl.commit.failure import storage_errors
from initctl.errors import ConflictError, Problem, StorageError, UncertainError, shown

if TYPE_CHECKING:
    from types import TracebackType

_BOOT_ID = "/proc/sys/kernel/random/boot_id"


class NewFile:
    """A file that did not exist, to be written through `descriptor`; messages call it `target`."""

    def __init__(self, path: str, target: str) -> None:
        self.path = path
        self.target = target
        self.descriptor = -1

    def __enter__(self) -> Self:
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
        with storage_errors(self.target):
            self.descriptor = os.open(self.path, flags, stat.S_IRUSR | stat.S_IWUSR)
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def sync(self, mode: int) -> None:
        """Bring the content to the disk, with the permissions `mode`."""
        with storage_errors(self.target):
            os.chmod(self.path, mode)
            os.fsync(self.descriptor)
            self._close()

    def _close(self) -> None:
        descriptor, self.descriptor = self.descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)


class StagedFile(NewFile):
    """A new file that takes the place of `target`."""

    def __init__(self, target: str) -> None:
        super().__init__(_staged_path(target), target)

    def __exit__(self, *_: object) -> None:
        self._close()
        with suppress(OSError):  # after a commit there is nothing to remove
            os.unlink(self.path)

    def commit(self, *, no_clobber: bool = False) -> None:
        """Take the target's place. Raises `ConflictError` under `no_clobber` where something is there."""
        with storage_errors(self.target):
            if no_clobber:
                _link_as(self.path, self.target)
            else:
                os.replace(self.path, self.target)
        _sync_committed(os.path.dirname(self.target))


class StagedDirectory:
    """A new directory that takes the place of `target`, or becomes it."""

    def __init__(self, target: str) -> None:
        self.target = target
        self.path = _staged_path(target)

    def __enter__(self) -> Self:
        with storage_errors(self.target):
            os.mkdir(self.path, 0o700)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        shutil.rmtree(self.path, ignore_errors=True)
        if error is None and os.path.lexists(self.path):
            message = f"{shown(self.target)}: is in place, but {shown(self.path)} could not be removed"
            raise UncertainError(Problem("storage.leftover", message, "remove it"))

    def file(self, name: str) -> NewFile:
        """The new file `name`, a path relative to the directory."""
        with storage_errors(os.path.join(self.target, name)):
            return NewFile(self._made_room_for(name), os.path.join(self.target, name))

    def link_rest(self, source: str) -> None:
        """Give every file of the directory `source` that has no namesake here a second name here."""
        with storage_errors(self.target):
            for parent, directories, files in os.walk(source):
                here = os.path.join(self.path, os.path.relpath(parent, source))
                os.makedirs(here, exist_ok=True)
                for name in (*files, *filter(lambda d: os.path.islink(os.path.join(parent, d)), directories)):
                    if not os.path.lexists(os.path.join(here, name)):
                        os.link(os.path.join(parent, name), os.path.join(here, name), follow_symlinks=False)
                shutil.copymode(parent, here)

    def sync(self, mode: int) -> None:
        """Bring all names to the disk, with the permissions `mode` for the directory itself."""
        with storage_errors(self.target):
            for directory, _, _ in os.walk(self.path, topdown=False):
                sync_directory(directory)
            os.chmod(self.path, mode)

    def commit(self) -> None:
        """Take the target's place in one step, or become it where nothing is there."""
        if os.path.lexists(self.target):
            self._exchange()
        else:
            with storage_errors(self.target):
                os.rename(self.path, self.target)
        _sync_committed(os.path.dirname(self.target))

    def _exchange(self) -> None:
        try:
            exchange(self.path, self.target)
        except OSError as error:
            message = f"{shown(self.target)}: cannot be replaced in one step: {error.strerror}"
            raise StorageError(
                Problem("storage.no_exchange", message, "write to a directory that does not exist yet with -o")
            ) from error

    def _made_room_for(self, name: str) -> str:
        path = os.path.join(self.path, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        return path


def sync_directory(path: str) -> None:
    """Bring the names in the directory `path` to the disk, on systems that can."""
    if os.name == "nt":
        return
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sync_committed(directory: str) -> None:
    try:
        sync_directory(directory)
    except OSError as error:
        message = f"{shown(directory)}: the result is in place, but may not survive a power failure: {error.strerror}"
        raise UncertainError(Problem("storage.uncertain", message)) from error


def _link_as(path: str, target: str) -> None:
    """Give `path` the name `target` unless that is taken, in one step."""
    try:
        os.link(path, target)
    except FileExistsError:
        raise ConflictError(Problem("output.exists", f"{shown(target)}: exists")) from None


def _staged_path(target: str) -> str:
    """A name beside `target` that says who made it: boot, process, and a random part."""
    name = f".initctl-{_boot()}-{os.getpid()}-{secrets.token_hex(2)}.tmp"
    return os.path.join(os.path.dirname(target), name)


@cache
def _boot() -> str:
    try:
        with open(_BOOT_ID, "rb") as stream:
            return blake2b(stream.read(), digest_size=3).hexdigest()
    except OSError:
        return "0" * 6
