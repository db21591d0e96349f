"""New files and directories that are written, and then flushed to the disk with their permissions."""

from __future__ import annotations

import errno
import os
from collections.abc import Container, Iterator
from contextlib import contextmanager, nullcontext, suppress
from typing import Self

from initctl.commit import effects
from initctl.commit.attributes import give_attributes, give_permissions
from initctl.commit.failure import storage_errors
from initctl.commit.tree import tree

_OWN = 0o600
"""The permissions of a new file until it is synced."""


class NewFile:
    """A new file, to be written through `descriptor`. Messages call it `target`.

    The first `with` creates it; a later one opens it again. If it `is_shared`, another process may have created it.
    """

    def __init__(self, path: str, target: str, *, is_shared: bool = False) -> None:
        self.path = path
        self.target = target
        self.descriptor = -1
        self.is_shared = is_shared
        self._is_new = True
        self.lost: list[str] = []
        """What `sync` could not keep of another file, in words."""

    def __enter__(self) -> Self:
        with storage_errors(self.target):
            try:
                self._open(is_new=self._is_new and not self.is_shared)
            except PermissionError:
                if not self.is_shared:
                    raise
                effects.change_mode(self.path, _OWN)  # a commit that was killed had given it its permissions
                self._open(is_new=False)
        return self

    def _open(self, *, is_new: bool) -> None:
        self._close()
        if is_new or self.is_shared:
            self.descriptor = effects.create(self.path, mode=_OWN, may_exist=not is_new)
        else:
            self.descriptor = os.open(self.path, os.O_RDWR | os.O_NOFOLLOW)
        self._is_new = False

    def __exit__(self, kind: object = None, *_: object) -> None:
        """Close it. Raises `StorageError` if that fails: some systems write only then. Another error comes first."""
        with storage_errors(self.target) if kind is None else suppress(OSError):
            self._close()

    @contextmanager
    def opened(self) -> Iterator[int]:
        """The descriptor. If the file is not open, it is opened for the body of the `with`. Errors of the system in the
        body are `StorageError` about this file.
        """
        with nullcontext() if self.descriptor >= 0 else self, storage_errors(self.target):
            yield self.descriptor

    def sync(self, mode: int, *, like: str | None = None) -> None:
        """Flush the content to the disk, with the permissions `mode`. If `like` is given, the file also gets the owner
        and the attributes of that file.
        """
        with storage_errors(self.target):
            if like is None:
                give_permissions(self.descriptor, mode)
            else:
                self.lost = give_attributes(self.descriptor, mode, like)
            effects.flush(self.descriptor)
            self._close()

    def _close(self) -> None:
        descriptor, self.descriptor = self.descriptor, -1
        if descriptor >= 0:
            effects.close(descriptor)


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
            make_directories(os.path.dirname(path))
        return NewFile(path, target, is_shared=self._is_shared)

    def keep_only(self, names: Container[str]) -> None:
        """Remove all files but those of these `names`, which are relative to the directory."""
        with storage_errors(self.target):
            for parent, files in tree(self.path):
                for file in files:
                    path = os.path.join(parent, file)
                    if os.path.relpath(path, self.path) not in names:
                        effects.unlink(path)

    def sync(self, mode: int, *, like: str, is_same: bool = False) -> list[str]:
        """Flush all names to the disk, with the permissions `mode`. Subdirectories get those they have in `like`.

        If this directory `is_same`, it takes the place of `like`: all directories get the owners and the attributes
        that they have there too. Returns what could not be kept.
        """
        lost: list[str] = []
        with storage_errors(self.target):
            for directory, _ in tree(self.path):
                other = os.path.normpath(os.path.join(like, os.path.relpath(directory, self.path)))
                with opened_directory(directory) as descriptor:
                    with suppress(FileNotFoundError):  # another program has removed the other one meanwhile
                        own = mode if directory == self.path else os.stat(other).st_mode
                        if is_same:
                            lost += give_attributes(descriptor, own, other)
                        else:
                            give_permissions(descriptor, own)
                    flush_directory(descriptor)
        return lost


def make_directories(path: str) -> None:
    """Make the directory `path`, and those above it, unless they are there."""
    with suppress(FileExistsError):
        try:
            effects.make_directory(path)
        except FileNotFoundError:
            make_directories(os.path.dirname(path))
            effects.make_directory(path)


def sync_directory(path: str) -> None:
    """Flush the names in the directory `path` to the disk."""
    with opened_directory(path) as descriptor:
        flush_directory(descriptor)


def flush_directory(descriptor: int) -> None:
    """The same of an open directory. Some file systems, such as folders that a virtual machine shares with its host,
    have nothing to flush: they say EINVAL.
    """
    try:
        effects.flush(descriptor)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise


@contextmanager
def opened_directory(directory: str) -> Iterator[int]:
    """A descriptor of `directory`, which is not a link."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
