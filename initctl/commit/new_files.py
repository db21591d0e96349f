"""New files and directories that are written, and then flushed to the disk with their permissions."""

from __future__ import annotations

import os
import stat
from collections.abc import Container, Iterator
from contextlib import contextmanager, nullcontext, suppress
from typing import Self

from initctl.commit.failure import storage_errors
from initctl.commit.tree import tree

_NEW_FILE = 0o666
_OWN = stat.S_IRUSR | stat.S_IWUSR
"""The permissions of a new file until it is synced."""
_COPIED = stat.S_IRWXU | stat.S_IRWXG | stat.S_IRWXO
"""The permission bits that are copied from the source."""


class NewFile:
    """A new file, to be written through `descriptor`. Messages call it `target`.

    The first `with` creates it; a later one opens it again. If it `is_shared`, another process may have created it.
    """

    def __init__(self, path: str, target: str, *, is_shared: bool = False) -> None:
        self.path = path
        self.target = target
        self.descriptor = -1
        self.is_shared = is_shared
        self._creates = os.O_CREAT if is_shared else os.O_CREAT | os.O_EXCL

    def __enter__(self) -> Self:
        flags = os.O_RDWR | self._creates
        with storage_errors(self.target):
            try:
                self.descriptor = os.open(self.path, flags, _OWN)
            except PermissionError:
                if not self.is_shared:
                    raise
                os.chmod(self.path, _OWN)  # a commit that was killed had given it its permissions
                self.descriptor = os.open(self.path, flags)
        self._creates = 0
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):  # a file that is kept was closed by `sync`, which reports errors
            self._close()

    @contextmanager
    def opened(self) -> Iterator[int]:
        """The descriptor. If the file is not open, it is opened for the body of the `with`."""
        with nullcontext() if self.descriptor >= 0 else self:
            yield self.descriptor

    def sync(self, mode: int) -> None:
        """Flush the content to the disk, with the permissions `mode`."""
        with storage_errors(self.target):
            _give_permissions(self.path, mode)
            os.fsync(self.descriptor)
            self._close()

    def _close(self) -> None:
        descriptor, self.descriptor = self.descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)


class NewDirectory:
    """A new directory at `path`. Messages call it `target`. If it `is_shared`, other processes may create its files."""

    def __init__(self, path: str, target: str, *, is_shared: bool = False) -> None:
        self.path = path
        self.target = target
        self._is_shared = is_shared

    def file(self, name: str) -> NewFile:
        """The new file `name`, a path relative to the directory."""
        path, target = (os.path.join(folder, name) for folder in (self.path, self.target))
        with storage_errors(target):
            os.makedirs(os.path.dirname(path), exist_ok=True)
        return NewFile(path, target, is_shared=self._is_shared)

    def keep_only(self, names: Container[str]) -> None:
        """Remove all files but those of these `names`, which are relative to the directory."""
        with storage_errors(self.target):
            for parent, files in tree(self.path):
                for file in files:
                    path = os.path.join(parent, file)
                    if os.path.relpath(path, self.path) not in names:
                        os.unlink(path)

    def link_rest(self, source: str, *, without: Container[str] = ()) -> None:
        """Hard-link every file of the directory `source` into this one, unless a file of its name is here.

        Files in `without` are not linked. Their names are relative to `source`.
        """
        with storage_errors(self.target):
            for parent, names in tree(source):
                below = os.path.relpath(parent, source)
                os.makedirs(os.path.join(self.path, below), exist_ok=True)
                for name in names:
                    relative = os.path.normpath(os.path.join(below, name))
                    here = os.path.join(self.path, relative)
                    if relative not in without and not os.path.lexists(here):
                        os.link(os.path.join(parent, name), here, follow_symlinks=False)

    def sync(self, mode: int, *, like: str) -> None:
        """Flush all names to the disk, with the permissions `mode`. Subdirectories get those they have in `like`."""
        with storage_errors(self.target):
            for directory, _ in tree(self.path):
                below = os.path.relpath(directory, self.path)
                _give_permissions(directory, os.stat(os.path.join(like, below)).st_mode)
                sync_directory(directory)
            _give_permissions(self.path, mode)


def new_file_mode() -> int:
    """The permissions that a new file gets: all but those that the process's umask takes away."""
    mask = os.umask(0)
    os.umask(mask)
    return _NEW_FILE & ~mask


def _give_permissions(path: str, mode: int) -> None:
    """Give `path` the read, write and execute permissions of `mode`, and nothing else.

    Set-user-ID, set-group-ID and sticky bits are never copied: the result belongs to the user who runs initctl, and
    somebody else's set-user-ID program would run with that user's rights. All permissions of results are set here.
    """
    os.chmod(path, mode & _COPIED)


def sync_directory(path: str) -> None:
    """Flush the names in the directory `path` to the disk."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
