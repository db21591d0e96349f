"""The journal of a patch: its plan, in a file beside the checkpoint from before the first byte is overwritten until the
last one is on the disk. If the patch is interrupted, the plan completes it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import reduce
from operator import or_
from typing import TYPE_CHECKING, Any

from initctl.commit import effects
from initctl.commit.copying import write_all
from initctl.commit.failure import storage_errors
from initctl.commit.leftovers import discard, is_there
from initctl.commit.new_files import sync_directory
from initctl.commit.staging import StagedFile
from initctl.errors import ConflictError, InputError, Problem, StorageError, UncertainError, shown
from initctl.formats import read_checkpoint
from initctl.formats.journals import FILES, OWN, identity
from initctl.formats.unfinished import check_not_replaced, completing, giving_up, interrupted, unfinished
from initctl.planning.documents import signed
from initctl.planning.saved import SavedPlan
from initctl.traces import journal_path

if TYPE_CHECKING:
    from initctl.planning import Plan

_OWN, _READ = 0o600, 0o444


def resumed(path: str) -> Plan:
    """The plan of the interrupted patch of the checkpoint at `path`.

    Raises `ConflictError` if no patch was interrupted, or if another checkpoint is there now; `InputError` if the
    journal is damaged.
    """
    patched = next(interrupted(read_checkpoint(path, unfinished=True)), None)
    if patched is None:
        fault = f"{shown(path)}: no patch of it was interrupted, so there is nothing to complete"
        raise ConflictError(Problem("patch.none", fault))
    with _saying_how_to_give_up(journal_path(patched)):
        return SavedPlan.at(journal_path(patched)).restored(patched, unfinished=True)


class Journal:
    """The journal of a patch of `files` that carries out `plan`.

    Raises `ConflictError` if that of another plan is there, since both together would leave values of both; or if that
    of this plan is there, and one of the files was replaced since then.
    """

    def __init__(self, plan: Plan, files: Iterable[str]) -> None:
        self.path = journal_path(plan.checkpoint.target)
        self._plan = plan
        self._files = tuple(files)
        found = set(interrupted(plan.checkpoint))
        self.is_begun = plan.checkpoint.target in found
        for other in found - {plan.checkpoint.target}:
            raise unfinished(other)
        if not self.is_begun:
            self._check_no_other()
            return
        if self._instructions() != _instructions(plan.to_document()):
            fault = f"{shown(plan.checkpoint.path)}: a patch by other rules, or with another seed, was interrupted"
            hint = f"complete that one with {completing(plan.checkpoint.target)}"
            raise ConflictError(Problem("patch.interrupted", fault, hint))
        check_not_replaced(self.path)

    def _check_no_other(self) -> None:
        """Raise `ConflictError` if there is a journal already: without it, nobody would know of the other patch."""
        if is_there(self.path):
            place = shown(self._plan.checkpoint.path)
            fault = f"{place}: {shown(self.path)} is of an interrupted patch of files that are no longer here"
            hint = "they may have other names by now; remove it if you do not need them any more"
            raise ConflictError(Problem("patch.interrupted", fault, hint))

    def _instructions(self) -> object:
        """Those of the plan in the journal that is there. Raises `InputError` if it is damaged."""
        with _saying_how_to_give_up(self.path):
            return _instructions(SavedPlan.at(self.path).document)

    def begin(self) -> None:
        """Write the journal. Raises `StorageError`, or `ConflictError` if one is there by now."""
        folder = os.path.dirname(self.path)
        files = {os.path.relpath(file, folder): identity(file) for file in self._files}
        with StagedFile(self.path) as staged, storage_errors(self.path):
            own = {FILES: files, OWN: identity(staged.path)}
            content = json.dumps(signed({**self._plan.to_document(), **own})) + "\n"
            write_all(staged.descriptor, content.encode(), 0)
            staged.sync(self._mode, like=self._like)
            try:
                staged.commit(no_clobber=True, on_commit=self._note_begun, is_the_end=False)
            except ConflictError:  # another process did the same just now; this file system has no locks
                raise unfinished(self._plan.checkpoint.target) from None
            except UncertainError as error:  # a power failure could bring back the old directory, without it
                discard(self.path)
                self.is_begun = False
                raise self._not_begun() from error

    @property
    def _mode(self) -> int:
        """Permissions with which everybody who may read one of the files may read this, and know of the patch."""
        return reduce(or_, (os.stat(file).st_mode & _READ for file in self._files), _OWN)

    @property
    def _like(self) -> str | None:
        """A file whose owner, group and attributes this gets as far as the system allows, so that `_mode` is for the
        same users, and the owner can complete the patch. None if the files have several owners: all trust root, but not
        each other.
        """
        owners = {os.stat(file).st_uid for file in self._files}
        return self._files[0] if len(owners) == 1 else None

    def _not_begun(self) -> StorageError | UncertainError:
        """The error of writing the journal, which may still be there. Nothing is overwritten yet."""
        if not is_there(self.path):
            fault = f"{shown(self.path)}: the journal of the patch could not be flushed to the disk"
            return StorageError(Problem("storage.failed", fault))
        fault = f"{shown(self._plan.checkpoint.path)}: is as it was, but {shown(self.path)} could not be removed"
        return UncertainError(Problem("storage.leftover", fault, "remove it"))

    def give_up(self) -> None:
        """Remove the journal, since nothing is overwritten yet. Raises `UncertainError` if it cannot be removed."""
        discard(self.path)
        self.is_begun = False
        if is_there(self.path):
            raise self._not_begun()

    def _note_begun(self) -> None:
        self.is_begun = True

    def end(self) -> None:
        """Remove the journal: everything is on the disk. Raises `UncertainError` if that fails."""
        place, journal = shown(self._plan.checkpoint.path), shown(self.path)
        try:
            effects.unlink(self.path)
        except OSError as error:
            fault = f"{place}: the patch is complete, but {journal} could not be removed: {error.strerror}"
            raise UncertainError(Problem("storage.leftover", fault, "remove it")) from error
        try:
            sync_directory(os.path.dirname(self.path))
        except OSError as error:
            fault = f"{place}: the patch is complete, but {journal} may be back after a power failure: {error.strerror}"
            raise UncertainError(Problem("storage.uncertain", fault, "remove it then")) from error


def _instructions(document: Mapping[str, Any]) -> object:
    """The digest of a plan, whatever the path of its checkpoint is, and whichever files it overwrites."""
    return signed({**document, "checkpoint": "", FILES: None, OWN: None})["digest"]


@contextmanager
def _saying_how_to_give_up(journal: str) -> Iterator[None]:
    """Add that to what the body raises about `journal`: no other plan can complete the patch."""
    try:
        yield
    except (InputError, ConflictError) as error:
        hint = giving_up(journal)
        raise type(error)(*(problem._replace(hint=hint) for problem in error.problems)) from None
