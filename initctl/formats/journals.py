"""The journal of a patch, as it is found beside a checkpoint: which files it is about."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping, Sequence
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


class FoundJournal(NamedTuple):
    """The journal at `path`, its owner, and the identities of the files that are overwritten, by name; None if it is
    damaged or may not be read. If it `is_copied`, so are the files.
    """

    path: str
    owner: int
    files: Mapping[str, Identity] | None = None
    is_copied: bool = False

    @property
    def folder(self) -> str:
        return os.path.dirname(self.path)

    def patched(self, path: str) -> str | None:
        """What is patched, if this is about the file at `path`: the file, or a directory that it is in. It is not if a
        stranger wrote it, or if another file is at the path by now.
        """
        patched = self.folder if os.path.basename(self.path) == JOURNAL else path
        if not self._can_be_trusted(path):
            return None
        if self.files is None:
            return patched if self.path == journal_path(patched) else None
        known = self.files.get(os.path.relpath(path, self.folder))
        return patched if known and (self.is_copied or _may_be_same(identity(path), known)) else None

    def former_path(self, path: str) -> str | None:
        """Where the file at `path` was when it was patched, if this is about it and it was renamed since then."""
        here = identity(path)
        if self.is_copied or None in here or not self._can_be_trusted(path):
            return None
        former = (name for name, known in (self.files or {}).items() if known == here)
        return next((os.path.join(self.folder, name) for name in former), None)

    def replaced(self) -> Iterator[str]:
        """The paths at which other files are by now."""
        for name, known in (self.files or {}).items():
            path = os.path.join(self.folder, name)
            if not (self.is_copied or _may_be_same(identity(path), known)):
                yield path

    def _can_be_trusted(self, path: str) -> bool:
        """Whether this user, root or the owner of the file at `path` wrote it, or anybody who could also replace that
        file: whoever may write to its directory, unless the sticky bit keeps users from each other's files.
        """
        known = self.owner in (os.geteuid(), 0, os.stat(path).st_uid)
        return known or not os.stat(self.folder).st_mode & stat.S_ISVTX


def journals_around(directory: str, files: Sequence[str]) -> Iterator[FoundJournal]:
    """The journals that can be about `files`, which are in `directory`."""
    return filter(None, map(read_journal, _places(directory, files)))


def read_journal(path: str) -> FoundJournal | None:
    """The journal at `path`; None if there is none."""
    try:
        status = os.lstat(path)
        if not stat.S_ISREG(status.st_mode):
            return None
        document: Any = parse_object(read_small(path, _LONGEST), allow_surrogates=True)
        files = {name: [inode, time] for name, (inode, time) in document[FILES].items()}
        return FoundJournal(path, status.st_uid, files, not _may_be_same(document[OWN], identity(path)))
    except FileNotFoundError:
        return None
    except (InputError, Malformed, LookupError, AttributeError, TypeError, ValueError):
        return FoundJournal(path, status.st_uid)


def _places(directory: str, files: Sequence[str]) -> Iterator[str]:
    try:
        yield from (os.path.join(directory, name) for name in os.listdir(directory) if is_journal(name))
    except PermissionError:
        yield from (os.path.join(directory, JOURNAL), *map(journal_path, files))
    yield from (os.path.join(parent, JOURNAL) for parent in above(directory))


def _may_be_same(one: Identity, other: Identity) -> bool:
    """Whether two identities are equal, as far as the times are known."""
    return one[0] == other[0] and (one[1] == other[1] or None in (one[1], other[1]))
