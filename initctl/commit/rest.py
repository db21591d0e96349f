"""The files of a directory that stay when a new one replaces it: hard links share them."""

from __future__ import annotations

import os
from collections.abc import Container, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from itertools import chain
from typing import TypeAlias

from initctl import paths
from initctl.commit import effects
from initctl.commit.attributes import give_attributes
from initctl.commit.failure import storage_errors
from initctl.commit.leftovers import discard
from initctl.commit.new_files import flush_directory, make_directories, opened_directory, sync_directory
from initctl.commit.tree import tree
from initctl.errors import Problem, StorageError, shown
from initctl.traces import is_staged, staged_path

Inode: TypeAlias = tuple[int, int]
"""A file or a directory: its file system, and its number there."""


class Rest:
    """The files in the directory `target`, but those `without`. Their names are relative to it."""

    def __init__(self, target: str, without: Container[str] = ()) -> None:
        self._target = target
        self._without = without
        self._source: Inode | None = None
        self._files: dict[str, Inode] = {}
        self._directories: set[str] = set()

    def link(self, new: str) -> None:
        """Link the files into the directory `new`, which is to replace the target; a file of the same name there is
        replaced. Files that initctl stages are not linked, and not those that another program removes meanwhile.
        """
        with storage_errors(self._target):
            self._source = _inode(self._target)
            for below, names in rest_of(self._target, self._without):
                make_directories(os.path.join(new, below))
                self._directories.add(below)
                for name in names:
                    path = os.path.join(self._target, name)
                    with storage_errors(path), _while_there(path):
                        _link(path, linked := os.path.join(new, name))
                        self._files[name] = _inode(linked)

    def follow(self, old: str) -> None:
        """The new directory has replaced the target, which is at `old` now. Add to it what other programs have written
        to the old one since `link`, remove what they have removed there, and flush that to the disk. What they have
        written to the new one meanwhile stays. Raises `StorageError` if they had replaced the old one as a whole.
        """
        with storage_errors(self._target):
            if _inode(old) != self._source:
                fault = f"{shown(self._target)}: another program replaced the whole directory"
                raise StorageError(Problem("storage.failed", fault))
            there = list(rest_of(old, self._without))
            self._remove_missing(old, dict(there))
            for below, names in reversed(there):  # a directory before those in it
                if below not in self._directories:
                    self._add_directory(below, os.path.join(old, below))
                self._add_late(below, {name: os.path.join(old, name) for name in names})

    def _remove_missing(self, old: str, there: Mapping[str, Sequence[str]]) -> None:
        """Remove what was linked and then disappeared from `old`. `there` are the files in it now, by directory."""
        names = set(chain.from_iterable(there.values()))
        changed = set()
        for name in [name for name in self._files if name not in names and not _is_file(os.path.join(old, name))]:
            if _is_at(path := os.path.join(self._target, name), self._files.pop(name)):
                effects.unlink(path)
                changed.add(os.path.dirname(path))
        for below in sorted(self._directories - there.keys(), reverse=True):  # a directory after those in it
            self._directories.remove(below)
            with suppress(OSError):  # others have written to it or removed it
                effects.remove_directory(path := os.path.join(self._target, below))
                changed = {*changed, os.path.dirname(path)} - {path}
        for path in changed:
            sync_directory(path)

    def _add_directory(self, below: str, like: str) -> None:
        path = os.path.join(self._target, below)
        if not paths.is_there(path):
            make_directories(path)
            with opened_directory(path) as descriptor:
                give_attributes(descriptor, os.stat(like).st_mode, like)
            sync_directory(os.path.dirname(path))

    def _add_late(self, below: str, files: Mapping[str, str]) -> None:
        """Link those of the directory `below` that are not the same as before. `files` are their paths by name."""
        late = {name: path for name, path in files.items() if _inode(path) != self._files.get(name)}
        if not late:
            return
        with opened_directory(os.path.join(self._target, below)) as descriptor:
            for name, path in late.items():
                with storage_errors(target := os.path.join(self._target, name)):
                    _link_late(path, target, self._files.get(name))
            flush_directory(descriptor)


def rest_of(source: str, without: Container[str]) -> Iterator[tuple[str, list[str]]]:
    """Each directory in `source`, from the deepest, and the files in it, but those `without` and what initctl stages.
    All names are relative to `source`.
    """
    for parent, names in tree(source):
        below = os.path.relpath(parent, source)
        if not any(map(is_staged, below.split(os.sep))):
            files = (os.path.normpath(os.path.join(below, name)) for name in names if not is_staged(name))
            yield below, [file for file in files if file not in without]


def _link(path: str, target: str) -> None:
    """Let `target` be the file at `path`."""
    try:
        effects.link(path, target)
    except FileExistsError:
        if _inode(path) == _inode(target):
            return
        staged = staged_path(target)
        effects.link(path, staged)
        try:
            effects.rename(staged, target)
        except OSError:
            discard(staged)
            raise


def _link_late(path: str, target: str, linked: Inode | None) -> None:
    """Let `target` be the file at `path`, unless it is there and is not the one that was `linked` before."""
    if linked is None:
        with suppress(FileExistsError):
            effects.link(path, target)
    elif _is_at(target, linked):
        staged = staged_path(target)
        effects.link(path, staged)
        try:
            with suppress(FileNotFoundError):  # another program has removed the target meanwhile
                effects.exchange(staged, target)
                if not _is_at(staged, linked):  # or has replaced it
                    effects.exchange(staged, target)
        finally:
            discard(staged)


@contextmanager
def _while_there(path: str) -> Iterator[None]:
    """The body links the file at `path`, unless another program has removed it by now."""
    try:
        yield
    except FileNotFoundError:
        if paths.is_there(path):
            raise


def _is_file(path: str) -> bool:
    """Whether something other than a directory is at `path`."""
    return paths.is_link(path) or (paths.is_there(path) and not paths.is_directory(path))


def _is_at(path: str, inode: Inode) -> bool:
    return paths.is_there(path) and _inode(path) == inode


def _inode(path: str) -> Inode:
    status = os.lstat(path)
    return status.st_dev, status.st_ino
