"""A patch that overwrites a checkpoint keeps a journal beside it. While that is there, values may be mixed."""

from __future__ import annotations

import os
import shlex
import stat
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from initctl import paths
from initctl.births import born
from initctl.errors import ConflictError, InputError, Problem, shown
from initctl.formats.opening import Malformed, read_small
from initctl.formats.strict_json import parse_object
from initctl.grouping import grouped
from initctl.locks import Busy, locked
from initctl.traces import JOURNAL, above, is_journal, journal_path

if TYPE_CHECKING:
    from initctl.formats.checkpoint import Checkpoint

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


def check_finished(checkpoint: Checkpoint) -> None:
    """Raise `ConflictError` if a patch of one of the checkpoint's files is not complete."""
    for patched in interrupted(checkpoint):
        raise unfinished(patched)


def check_file_finished(path: str) -> None:
    """Raise `ConflictError` if a patch of the file at the real `path` is not complete."""
    for patched in _interrupted(os.path.dirname(path), [path]):
        raise unfinished(patched)


def interrupted(checkpoint: Checkpoint) -> Iterator[str]:
    """The files and directories whose patch, which is not complete, is about files of `checkpoint`. Raises
    `ConflictError` if a file has another name since then.
    """
    files = (paths.real(os.path.join(checkpoint.directory, file.name)) for file in checkpoint.files)
    for directory, here in grouped((os.path.dirname(path), path) for path in files).items():
        yield from _interrupted(directory, here)


def unfinished(patched: str) -> ConflictError:
    """The error for a patch of the file or directory `patched` that is not complete: it was interrupted, or goes on."""
    place, journal = shown(patched), journal_path(patched)
    going_on = Problem(
        "output.busy", f"{place}: another process of initctl is overwriting it", "run again when it has ended"
    )
    try:
        with locked(patched, is_shared=True):
            if not paths.is_there(journal):  # it was completed just now
                return ConflictError(going_on)
    except Busy:
        return ConflictError(going_on)
    fault = f"{place}: a patch was interrupted, so some values may be new and others old"
    hint = f"complete it with {completing(patched)}; or {giving_up(journal)}"
    return ConflictError(Problem("patch.interrupted", fault, hint))


def check_same_files(journal: str) -> None:
    """Raise `ConflictError` if one of the files that the patch of `journal` overwrites is another one by now, so that
    completing the patch would overwrite what somebody has restored.
    """
    found = _read(journal)
    if found is None or found.files is None or found.is_copied:
        return
    for name, known in found.files.items():
        path = os.path.join(found.folder, name)
        if not _may_be_same(identity(path), known):
            fault = f"{shown(path)}: was replaced after the patch of it was interrupted"
            raise ConflictError(Problem("patch.interrupted", fault, giving_up(journal)))


def completing(patched: str) -> str:
    """The command that completes an interrupted patch of the file or directory `patched`."""
    return f"initctl apply --resume {shown(shlex.quote(patched))}"


def giving_up(journal: str) -> str:
    """What to do to have the old values again."""
    return f"restore what was there from a copy, and remove {shown(journal)}"


class _Journal(NamedTuple):
    """The journal at `path`, its owner, and the identities of the files that are overwritten, by name; None if it is
    damaged or may not be read. If it `is_copied`, so are the files.
    """

    path: str
    owner: int
    files: Mapping[str, Identity] | None = None
    is_copied: bool = False

    def patched(self, path: str) -> str | None:
        """What is patched, if this is about the file at `path`: the file, or a directory that it is in.

        It is not if a stranger wrote it, or if another file is at the path by now. Raises `ConflictError` if the file
        had another name.
        """
        patched = self.folder if os.path.basename(self.path) == JOURNAL else path
        try:
            if not self._can_be_trusted(os.stat(path).st_uid):
                return None
            here = identity(path)
        except FileNotFoundError:
            return None
        if self.files is None:
            return patched if self.path == journal_path(patched) else None
        name = os.path.relpath(path, self.folder)
        if name in self.files and (self.is_copied or _may_be_same(here, self.files[name])):
            return patched
        if None not in here and not self.is_copied:
            for old in (old for old, known in self.files.items() if known == here):
                raise _renamed(path, os.path.join(self.folder, old), self.path)
        return None

    @property
    def folder(self) -> str:
        return os.path.dirname(self.path)

    def _can_be_trusted(self, owner: int) -> bool:
        """Whether this user, root or the `owner` of the file wrote it, or anybody who could also replace that file:
        whoever may write to its directory, unless the sticky bit keeps users from each other's files.
        """
        return self.owner in (os.geteuid(), 0, owner) or not os.stat(self.folder).st_mode & stat.S_ISVTX


def _interrupted(directory: str, files: Sequence[str]) -> Iterator[str]:
    """The same for `files` in one directory."""
    for place in _journals(directory, files):
        if journal := _read(place):
            yield from filter(None, map(journal.patched, files))


def _journals(directory: str, files: Sequence[str]) -> Iterator[str]:
    """Where journals about `files`, which are in `directory`, can be."""
    try:
        yield from (os.path.join(directory, name) for name in os.listdir(directory) if is_journal(name))
    except PermissionError:
        yield from (os.path.join(directory, JOURNAL), *map(journal_path, files))
    _, *others = above(os.path.join(directory, "file"))
    yield from (os.path.join(parent, JOURNAL) for parent in others)


def _read(path: str) -> _Journal | None:
    """The journal at `path`; None if there is none."""
    try:
        status = os.lstat(path)
        if not stat.S_ISREG(status.st_mode):
            return None
        document: Any = parse_object(read_small(path, _LONGEST), allow_surrogates=True)
        files = {name: [inode, time] for name, (inode, time) in document[FILES].items()}
        return _Journal(path, status.st_uid, files, not _may_be_same(document[OWN], identity(path)))
    except FileNotFoundError:
        return None
    except (InputError, Malformed, LookupError, AttributeError, TypeError, ValueError):
        return _Journal(path, status.st_uid)


def _may_be_same(one: Identity, other: Identity) -> bool:
    """Whether two identities are equal, as far as the times are known."""
    return one[0] == other[0] and (one[1] == other[1] or None in (one[1], other[1]))


def _renamed(path: str, old: str, journal: str) -> ConflictError:
    fault = f"{shown(path)}: a patch of it was interrupted when it was {shown(old)}"
    hint = f"rename it back and complete the patch with {completing(old)}; or {giving_up(journal)}"
    return ConflictError(Problem("patch.interrupted", fault, hint))
