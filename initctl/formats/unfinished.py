"""A patch that overwrites a checkpoint keeps a journal beside it. While that is there, values may be mixed."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator
from typing import TYPE_CHECKING

from initctl import paths
from initctl.errors import ConflictError, Problem, shown
from initctl.locks import Busy, locked
from initctl.traces import journal_path

if TYPE_CHECKING:
    from initctl.formats.checkpoint import Checkpoint

_LEVELS = 4
"""How far above a file the directory can be whose journal is about that file: a component is one or two below."""


def check_finished(checkpoint: Checkpoint) -> None:
    """Raise `ConflictError` if a patch of one of the checkpoint's files is not complete."""
    for file in checkpoint.files:
        check_file_finished(paths.real(os.path.join(checkpoint.directory, file.name)))


def check_file_finished(path: str) -> None:
    """Raise `ConflictError` if a patch of the file or directory at the real `path` is not complete."""
    for patched in _patched(path):
        if paths.is_there(journal_path(patched)):
            raise _unfinished(patched)


def _patched(path: str) -> Iterator[str]:
    """The file itself, and the directories above it: what a journal that is about it can be a journal of."""
    yield path
    for _ in range(_LEVELS):
        path = os.path.dirname(path)
        yield path


def _unfinished(patched: str) -> ConflictError:
    place, journal = shown(patched), shown(journal_path(patched))
    try:
        with locked(patched, is_shared=True):
            pass
    except Busy:
        fault = f"{place}: another process of initctl is overwriting it"
        return ConflictError(Problem("output.busy", fault, "run again when it has ended"))
    fault = f"{place}: a patch was interrupted, so some values may be new and others old"
    hint = (
        f"complete it with initctl apply --resume {shown(shlex.quote(patched))}; "
        f"or, if other files are there now, remove {journal}"
    )
    return ConflictError(Problem("patch.interrupted", fault, hint))
