"""Plan → bytes: stage beside the target, write, check that the input is still the same, commit once."""

from __future__ import annotations

import os
import stat
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from initctl.commit import StagedDirectory, StagedFile, storage_errors
from initctl.errors import ConflictError
from initctl.execution.destination import (
    Destination,
    check_in_place,
    check_not_here,
    check_replaceable,
    destination,
    real_path,
)
from initctl.execution.pieces import pieces
from initctl.execution.workers import Workers, default_threads

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from initctl.commit import NewFile
    from initctl.execution.workers import Progress
    from initctl.formats import CheckpointFile
    from initctl.planning import Action, Plan


@dataclass(frozen=True, slots=True)
class Written:
    """What was written: the path, and the files, by their names in the checkpoint.

    `files` is empty where nothing was to be changed in place.
    """

    path: str
    files: tuple[str, ...]


def execute(
    plan: Plan,
    output: str | None = None,
    *,
    threads: int | None = None,
    no_clobber: bool = False,
    on_progress: Callable[[Progress], None] | None = None,
) -> Written:
    """Carry out `plan` and write the checkpoint to `output`, or, without one, in place.

    Memory does not grow with the checkpoint, but for initializers that need a whole tensor: they have room for one at a
    time. Whatever is raised, what was there is as it was and nothing is left
    behind, but for `UncertainError`: then the result is in place.
    """
    plan.checkpoint.check_unchanged(plan.checkpoint.files)
    workers = Workers(threads or default_threads(), on_progress)
    writer = _Writer(plan, workers)
    with storage_errors(plan.checkpoint.path if output is None else output):
        return writer.in_place() if output is None else writer.to_new_path(output, no_clobber=no_clobber)


class _Writer:
    """Writes the files of one plan."""

    def __init__(self, plan: Plan, workers: Workers) -> None:
        self.plan = plan
        self.checkpoint = plan.checkpoint
        self.workers = workers
        self.actions: dict[str, list[Action]] = defaultdict(list)
        for action in plan.actions:
            if action.tensor.nbytes:
                self.actions[action.tensor.file].append(action)

    def to_new_path(self, output: str, *, no_clobber: bool) -> Written:
        target = destination(self.checkpoint, output, no_clobber=no_clobber)
        if self.checkpoint.is_directory:
            files = (*self.checkpoint.files, *self.checkpoint.other_files)
            self.announce(files)
            self.new_directory(target, files)
        else:
            files = self.checkpoint.files
            self.announce(files)
            self.new_file(files[0], target, no_clobber=no_clobber)
        return Written(output, tuple(file.name for file in files))

    def in_place(self) -> Written:
        touched = [file for file in self.checkpoint.files if self.actions[file.name]]
        check_in_place(self.checkpoint, touched)
        self.announce(touched)
        if len(touched) == 1:
            path = real_path(self.checkpoint, touched[0])
            self.new_file(touched[0], Destination(path, touched[0].mode, exists=True))
        elif touched:
            check_not_here(self.checkpoint.target)
            self.exchanged_directory(touched)
        return Written(self.checkpoint.path, tuple(file.name for file in touched))

    def announce(self, files: Sequence[CheckpointFile]) -> None:
        self.workers.expect(sum(file.size for file in files))

    def new_file(self, file: CheckpointFile, target: Destination, *, no_clobber: bool = False) -> None:
        with StagedFile(target.path) as staged:
            self.write(file, staged)
            staged.sync(target.mode)
            self.checkpoint.check_unchanged([file])
            staged.commit(no_clobber=no_clobber)

    def new_directory(self, target: Destination, files: Sequence[CheckpointFile]) -> None:
        with StagedDirectory(target.path) as staged:
            for file in files:
                self.write_into(staged, file.name, file)
            staged.sync(target.mode, like=self.checkpoint.directory)
            self.checkpoint.check_unchanged(files)
            if target.exists:
                check_replaceable(self.checkpoint, target.path)
            staged.commit(replace=target.exists)

    def exchanged_directory(self, touched: Sequence[CheckpointFile]) -> None:
        """Several shards change at once: a directory that shares all other files takes the old one's place."""
        with StagedDirectory(self.checkpoint.target) as staged:
            for file in touched:
                name = os.path.relpath(real_path(self.checkpoint, file), self.checkpoint.directory)
                self.write_into(staged, name, file)
            staged.link_rest(self.checkpoint.target)
            mode = stat.S_IMODE(os.stat(self.checkpoint.target).st_mode)
            staged.sync(mode, like=self.checkpoint.target)
            self.checkpoint.check_unchanged(touched)
            staged.commit(replace=True)

    def write_into(self, staged: StagedDirectory, name: str, file: CheckpointFile) -> None:
        with staged.file(name) as new:
            self.write(file, new)
            new.sync(file.mode)

    def write(self, file: CheckpointFile, new: NewFile) -> None:
        source = self.checkpoint.open(file)
        try:
            with storage_errors(new.target):
                os.ftruncate(new.descriptor, file.size)
                content = pieces(file.size, self.actions[file.name], self.plan.seed)
                self.workers.write(content, source, new.descriptor)
        except ConflictError:
            raise self.checkpoint.changed(file) from None
        finally:
            os.close(source)
