"""A patch that overwrites a checkpoint keeps a journal beside it. While that is there, values may be mixed."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from initctl import paths
from initctl.errors import ConflictError, Problem, shown
from initctl.formats.journals import journal_at, journals_around
from initctl.grouping import grouped
from initctl.locks import Busy, locked
from initctl.traces import journal_path

if TYPE_CHECKING:
    from initctl.formats.checkpoint import Checkpoint


def check_finished(checkpoint: Checkpoint) -> None:
    """Raise `ConflictError` if a patch of one of the checkpoint's files is not complete."""
    for patched in interrupted(checkpoint):
        raise unfinished(patched)


def check_files_finished(files: Iterable[str]) -> None:
    """Raise `ConflictError` if a patch of one of `files`, which are real paths, is not complete."""
    for patched in _interrupted_among(files):
        raise unfinished(patched)


def half_patched(checkpoint: Checkpoint) -> Iterator[Problem]:
    """A warning for each file of `checkpoint` whose checksums show that a patch of it was interrupted. Its journal is
    gone, or the file would not be read.
    """
    for file in checkpoint.files:
        if any(checksum.unfinished for checksum in file.checksums):
            place = shown(os.path.join(checkpoint.directory, file.name))
            fault = f"{place}: a patch was interrupted, so some values may be new and others old; its journal is gone"
            hint = "repeat the command that patched it, or restore the file from a copy"
            yield Problem("archive.unfinished", fault, hint)


def interrupted(checkpoint: Checkpoint) -> Iterator[str]:
    """The files and directories whose patch, which is not complete, is about files of `checkpoint`. Raises
    `ConflictError` if a file has another name since then.
    """
    return _interrupted_among(paths.real(os.path.join(checkpoint.directory, file.name)) for file in checkpoint.files)


def check_not_replaced(journal: str) -> None:
    """Raise `ConflictError` if a file that the patch of `journal` overwrites is another one by now: completing the
    patch would overwrite what somebody has restored.
    """
    found = journal_at(journal)
    for path in found.replaced() if found else ():
        fault = f"{shown(path)}: was replaced after the patch of it was interrupted"
        raise ConflictError(Problem("patch.interrupted", fault, giving_up(journal)))


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
    return f"restore what was there from a copy, and remove {shown(journal)}"


def _interrupted_among(files: Iterable[str]) -> Iterator[str]:
    """The same for `files`, which are real paths."""
    for directory, here in grouped((os.path.dirname(path), path) for path in files).items():
        yield from _interrupted(directory, here)


def _interrupted(directory: str, files: Sequence[str]) -> Iterator[str]:
    """The same for those of `files`, in one directory, that are still there."""
    for journal in journals_around(directory, files):
        for path in filter(paths.is_file, files):
            if patched := journal.patched(path):
                yield patched
            elif former := journal.former_path(path):
                raise _renamed(path, former, journal.path)


def _renamed(path: str, former: str, journal: str) -> ConflictError:
    fault = f"{shown(path)}: a patch of it was interrupted when it was {shown(former)}"
    hint = f"rename it back and complete the patch with {completing(former)}; or {giving_up(journal)}"
    return ConflictError(Problem("patch.interrupted", fault, hint))
