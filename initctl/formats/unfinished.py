"""A patch that overwrites a checkpoint keeps a journal beside it. While that is there, values may be mixed."""

from __future__ import annotations

import os
import shlex
import stat
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

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
OWN = "inode"
"""The key that has the inode of the journal itself."""
_LONGEST = 100_000_000
"""Bytes of a journal."""


def identity(path: str) -> list[int | None]:
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


def completing(patched: str) -> str:
    """The command that completes an interrupted patch of the file or directory `patched`."""
    return f"initctl apply --resume {shown(shlex.quote(patched))}"


def giving_up(journal: str) -> str:
    """What to do to have the old values again."""
    return f"restore the old one from a copy, and remove {shown(journal)}"


class _Journal(NamedTuple):
    """The journal at `path`, its owner, and the identities of the files that are overwritten, by name; None if it is
    damaged. If it `is_copied`, so are the files.
    """

    path: str
    owner: int
    files: Mapping[str, Sequence[int | None]] | None
    is_copied: bool

    def patched(self, path: str) -> str | None:
        """What is patched, if this is about the file at `path`: the file, or a directory that it is in.

        It is not if another user wrote it, or if another file is at the path by now. Raises `ConflictError` if the file
        had another name.
        """
        try:
            status = os.stat(path)
        except FileNotFoundError:
            return None
        if self.owner not in (os.geteuid(), 0, status.st_uid):
            return None
        folder = os.path.dirname(self.path)
        patched = folder if os.path.basename(self.path) == JOURNAL else path
        if self.files is None:
            is_about = os.path.dirname(path) == folder and self.path == journal_path(patched)
            return patched if is_about else None
        name = os.path.relpath(path, folder)
        if self.is_copied:
            return patched if name in self.files else None
        here = identity(path)
        if name in self.files and _may_be_same(here, self.files[name]):
            return patched
        for old, known in self.files.items():
            if known == here and None not in here:
                raise _renamed(path, os.path.join(folder, old), self.path)
        return None


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
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(status.st_mode):
        return None
    try:
        document: Any = parse_object(read_small(path, _LONGEST), allow_surrogates=True)
        files = {name: [inode, time] for name, (inode, time) in document[FILES].items()}
        return _Journal(path, status.st_uid, files, document[OWN] != status.st_ino)
    except (InputError, Malformed, LookupError, AttributeError, TypeError, ValueError):
        return _Journal(path, status.st_uid, None, is_copied=False)


def _may_be_same(one: Sequence[int | None], other: Sequence[int | None]) -> bool:
    """Whether two identities are equal, as far as the times are known."""
    return one[0] == other[0] and (one[1] == other[1] or None in (one[1], other[1]))


def _renamed(path: str, old: str, journal: str) -> ConflictError:
    fault = f"{shown(path)}: a patch of it was interrupted when it was {shown(old)}"
    hint = f"rename it back and complete the patch with {completing(old)}; or {giving_up(journal)}"
    return ConflictError(Problem("patch.interrupted", fault, hint))
