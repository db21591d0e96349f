"""The journal of a patch: its plan, in a file beside the checkpoint from before the first byte is overwritten until the
last one is on the disk. If the patch is interrupted, the plan completes it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from initctl import paths
from initctl.commit import effects
from initctl.commit.copying import write_all
from initctl.commit.failure import storage_errors
from initctl.commit.leftovers import discard, is_there
from initctl.commit.new_files import sync_directory
from initctl.commit.staging import StagedFile
from initctl.errors import ConflictError, Problem, StorageError, UncertainError, shown
from initctl.planning.documents import signed
from initctl.planning.saved import SavedPlan
from initctl.traces import journal_path

if TYPE_CHECKING:
    from initctl.planning import Plan


def resumed(path: str) -> Plan:
    """The plan of the interrupted patch of the checkpoint at `path`.

    Raises `ConflictError` if no patch was interrupted, or if other files are there now; `InputError` if the journal is
    damaged.
    """
    journal = journal_path(paths.real(path))
    if not paths.is_there(journal):
        fault = f"{shown(path)}: no patch of it was interrupted, so there is nothing to complete"
        raise ConflictError(Problem("patch.none", fault))
    return SavedPlan.at(journal).restored(path, unfinished=True)


class Journal:
    """The journal of a patch that carries out `plan`.

    Raises `ConflictError` if that of another plan is there: both together would leave values of both.
    """

    def __init__(self, plan: Plan) -> None:
        self.path = journal_path(plan.checkpoint.target)
        self._plan = plan
        self.is_begun = paths.is_there(self.path)
        if self.is_begun and _identity(SavedPlan.at(self.path).document) != _identity(plan.to_document()):
            fault = f"{shown(plan.checkpoint.path)}: a patch by other rules, or with another seed, was interrupted"
            hint = f"complete that one with initctl apply --resume {shown(plan.checkpoint.path)}"
            raise ConflictError(Problem("patch.interrupted", fault, hint))

    def begin(self) -> None:
        """Write the journal, unless it is there. Raises `StorageError`."""
        if self.is_begun:
            return
        content = (json.dumps(self._plan.to_document()) + "\n").encode()
        with StagedFile(self.path) as staged, storage_errors(self.path):
            write_all(staged.descriptor, content, 0)
            staged.sync(0o600)
            try:
                staged.commit(on_commit=self._note_begun)
            except UncertainError as error:  # a power failure could bring back the old directory, without it
                discard(self.path)
                self.is_begun = False
                raise self._not_begun(error) from error

    def _not_begun(self, error: UncertainError) -> StorageError | UncertainError:
        """The `error` of writing the journal, which may still be there. Nothing is overwritten yet."""
        if not is_there(self.path):
            return StorageError(*error.problems)
        fault = f"{shown(self._plan.checkpoint.path)}: is as it was, but {shown(self.path)} could not be removed"
        return UncertainError(Problem("storage.leftover", fault, "remove it"))

    def _note_begun(self) -> None:
        self.is_begun = True

    def end(self) -> None:
        """Remove the journal: everything is on the disk. Raises `UncertainError` if that fails."""
        try:
            effects.unlink(self.path)
            sync_directory(os.path.dirname(self.path))
        except OSError as error:
            fault = f"{shown(self._plan.checkpoint.path)}: the patch is complete, but {shown(self.path)} could not be"
            raise UncertainError(
                Problem("storage.leftover", f"{fault} removed: {error.strerror}", "remove it")
            ) from error


def _identity(document: Mapping[str, Any]) -> object:
    """The digest of a plan, whatever the path of its checkpoint is."""
    return signed({**document, "checkpoint": ""})["digest"]
