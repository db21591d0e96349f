"""A patch that overwrites a checkpoint keeps a journal beside it. While that is there, values may be mixed."""

from __future__ import annotations

import os
import shlex
import stat
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from initctl import paths
from initctl.errors import ConflictError, InputError, Problem, shown
from initctl.formats.opening import Malformed, read_small
from initctl.formats.strict_json import parse_object
from initctl.locks import Busy, locked
from initctl.traces import above, journal_path

if TYPE_CHECKING:
    from initctl.formats.checkpoint import Checkpoint

FILES = "files"
"""The key of a journal that has the inode of each file that is overwritten, by its name relative to the journal."""
OWN = "inode"
"""The key that has the inode of the journal itself."""
_LONGEST = 100_000_000
"""Bytes of a journal."""


def check_finished(checkpoint: Checkpoint) -> None:
    """Raise `ConflictError` if a patch of one of the checkpoint's files is not complete."""
    for patched in interrupted(checkpoint):
        raise unfinished(patched)


def check_file_finished(path: str) -> None:
    """Raise `ConflictError` if a patch of the file at the real `path` is not complete."""
    for patched in _interrupted(path):
        raise unfinished(patched)


def interrupted(checkpoint: Checkpoint) -> Iterator[str]:
    """The files and directories whose patch, which is not complete, is about files of `checkpoint`."""
    for file in checkpoint.files:
        yield from _interrupted(paths.real(os.path.join(checkpoint.directory, file.name)))


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
    return ConflictError(Problem("patch.interrupted", fault, f"complete it with {completing(patched)}"))


def completing(patched: str) -> str:
    """The command that completes an interrupted patch of the file or directory `patched`."""
    return f"initctl apply --resume {shown(shlex.quote(patched))}"


def _interrupted(path: str) -> Iterator[str]:
    """The file itself, or directories above it, if they have a journal that is about it."""
    return (patched for patched in (path, *above(path)) if _is_about(journal_path(patched), path))


def _is_about(journal: str, path: str) -> bool:
    """Whether `journal` is about the file at `path`. It is not if another user wrote it, or if another file is at the
    path by now. If both were copied, it is about the copy.
    """
    try:
        status, patched = os.lstat(journal), os.stat(path)
    except FileNotFoundError:
        return False
    if not stat.S_ISREG(status.st_mode) or status.st_uid not in (os.geteuid(), 0, patched.st_uid):
        return False
    try:
        document: Any = parse_object(read_small(journal, _LONGEST), allow_surrogates=True)
        inode = document[FILES].get(os.path.relpath(path, os.path.dirname(journal)))
        is_copied = document[OWN] != status.st_ino  # and so are the files
        return inode is not None and (is_copied or bool(inode == patched.st_ino))
    except (InputError, Malformed, LookupError, AttributeError):  # it is damaged
        return os.path.dirname(journal) == os.path.dirname(path)
