"""The journal of a patch, as it is found beside a checkpoint: which files it is about."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, NamedTuple, TypeAlias

from initctl.births import born
from initctl.errors import InputError
from initctl.formats.opening import Malformed, read_small
from initctl.formats.strict_json import parse_object
from initctl.traces import JOURNAL, above, is_journal, journal_path

FILES = "files"
"""The key of a journal that has the `identity` of each file that it overwrites, by the name relative to the journal."""
OWN = "own"
"""The key that has the identity of the journal itself."""
_LONGEST = 100_000_000
"""Bytes of a journal."""

Identity: TypeAlias = list[int | None]


def identity(path: str) -> Identity:
    """What no other file on this file system has, now or later: the inode of the one at `path`, and when it was
    created, if the system says so.
    """
    return [os.stat(path).st_ino, born(path)]


class _Content(NamedTuple):
    """The identities of the files that are overwritten, by name. If the journal `is_copied`, so are the files."""

    files: Mapping[str, Identity]
    is_copied: bool

    def may_be_about(self, path: str, known: Identity) -> bool:
        """Whether the file at `path` may be the one whose identity was `known`, or a copy of it."""
        return self.is_copied or _may_be_same(identity(path), known)


class FoundJournal:
    """The journal at `path`, which belongs to the user `owner`.

    It is read only if it can be trusted: in a directory such as /tmp, anybody can make one.
    """

    def __init__(self, path: str, owner: int) -> None:
        self.path = path
        self.folder = os.path.dirname(path)
        self._owner = owner

    def patched(self, path: str) -> str | None:
        """What is patched, if this is about the file at `path`: the file, or a directory that it is in. It is not if a
        stranger wrote it, or if another file is at the path by now.
        """
        if not self._can_be_trusted(path):
            return None
        patched = self.folder if os.path.basename(self.path) == JOURNAL else path
        if self._content is None:
            return patched if self.path == journal_path(patched) else None
        known = self._content.files.get(os.path.relpath(path, self.folder))
        return patched if known and self._content.may_be_about(path, known) else None

    def former_path(self, path: str) -> str | None:
        """Where the file at `path` was when it was patched, if this is about it and it was renamed since then."""
        here = identity(path)
        if None in here or not self._can_be_trusted(path) or self._content is None or self._content.is_copied:
            return None
        former = (name for name, known in self._content.files.items() if known == here)
        return next((os.path.join(self.folder, name) for name in former), None)

    def replaced(self) -> Iterator[str]:
        """The paths at which other files are by now."""
        if self._content is None:
            return
        for name, known in self._content.files.items():
            path = os.path.join(self.folder, name)
            if not self._content.may_be_about(path, known):
                yield path

    @cached_property
    def _content(self) -> _Content | None:
        """None if it is damaged or may not be read."""
        try:
            document: Any = parse_object(read_small(self.path, _LONGEST), allow_surrogates=True)
            files = {name: [inode, time] for name, (inode, time) in document[FILES].items()}
            return _Content(files, not _may_be_same(document[OWN], identity(self.path)))
        except (InputError, Malformed, LookupError, AttributeError, TypeError, ValueError, FileNotFoundError):
            return None

    def _can_be_trusted(self, path: str) -> bool:
        """Whether this user, root or the owner of the file at `path` wrote it, or anybody who could also replace that
        file: whoever may write to its directory, unless the sticky bit keeps users from each other's files.
        """
        known = self._owner in (os.geteuid(), 0, os.stat(path).st_uid)
        return known or not os.stat(self.folder).st_mode & stat.S_ISVTX


def journals_around(directory: str, files: Sequence[str]) -> Iterator[FoundJournal]:
    """The journals that can be about `files`, which are in `directory`."""
    return filter(None, map(journal_at, _places(directory, files)))


def journal_at(path: str) -> FoundJournal | None:
    """The journal at `path`; None if there is none."""
    try:
        status = os.lstat(path)
    except FileNotFoundError:
        return None
    return FoundJournal(path, status.st_uid) if stat.S_ISREG(status.st_mode) else None


def _places(directory: str, files: Sequence[str]) -> Iterator[str]:
    try:
        yield from (os.path.join(directory, name) for name in os.listdir(directory) if is_journal(name))
    except PermissionError:
        yield from (os.path.join(directory, JOURNAL), *map(journal_path, files))
    yield from (os.path.join(parent, JOURNAL) for parent in above(directory))


def _may_be_same(one: Identity, other: Identity) -> bool:
    """Whether two identities are equal, as far as the times are known."""
    return one[0] == other[0] and (one[1] == other[1] or None in (one[1], other[1]))
