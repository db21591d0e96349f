"""The checkpoint with some tensors filled, in its own format: to a new path, in place, or patched."""

from __future__ import annotations

import os
from collections import defaultdict
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from initctl.checksums import is_computed, renew
from initctl.commit import PatchedFile, StagedDirectory, StagedFile, reserve, share, storage_errors
from initctl.errors import Problem, UncertainError, UsageError, listed, shown
from initctl.execution.content import rewritten
from initctl.execution.destination import (
    Destination,
    check_in_place,
    check_not_here,
    check_not_linked,
    check_replaced,
    destination,
    real_path,
)
from initctl.execution.result import Written
from initctl.execution.tasks import copy_tasks
from initctl.execution.writer import Writer
from initctl.filling import TargetBlock
from initctl.layout import joined, total

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from initctl.commit import NewFile
    from initctl.events import Event
    from initctl.execution.content import Content
    from initctl.formats import Checkpoint, CheckpointFile
    from initctl.layout import ByteRange
    from initctl.planning import Plan
    from initctl.stream import Old
    from initctl.tensors import TensorPart
    from initctl.workers import Workers


class Rewriter(Writer):
    """Writes the files of a checkpoint with the tensors of one plan filled, and all else as it is."""

    def __init__(
        self,
        plan: Plan,
        workers: Workers,
        olds: Mapping[TensorPart, Old],
        on_event: Callable[[Event], None] | None,
        dropped: Sequence[str] = (),
    ) -> None:
        """The files called `dropped` do not go along."""
        super().__init__(plan, workers, olds, on_event)
        self.dropped = frozenset(dropped)
        self.contents: dict[str, Content] = {}
        self.targets: dict[str, list[TargetBlock]] = defaultdict(list)
        for action in self.written:
            part = action.part
            for block in part.blocks if part.numel else ():
                self.targets[block.file].append(TargetBlock(action, block.distinct, action.law))

    def to_new_path(self, output: str, *, into_directory: bool, overwrite: bool | None) -> Written:
        """Write to the file `output`, or `into_directory`: that of a directory, or a file by its name in a new one."""
        target = destination(self.checkpoint, output, is_directory=into_directory, overwrite=overwrite)
        if into_directory:
            others = [file for file in self.checkpoint.other_files if file.name not in self.dropped]
            files = (*self.checkpoint.files, *others)
            names = [file.name for file in files]
            may_replace = None if overwrite is False else partial(check_replaced, target.path, output, names)
            if may_replace and target.exists:
                may_replace()
            self.begin_rewriting(files)
            self.new_directory(target, files, may_replace)
            return Written(output, tuple(names))
        (file,) = self.checkpoint.files
        self.begin_rewriting([file])
        self.new_file(file, target, no_clobber=overwrite is False)
        return Written(output, (os.path.basename(target.path),))

    def in_place(self) -> Written:
        touched = self.touched()
        check_in_place(self.checkpoint, touched)
        whole = len(touched) > 1 or bool(touched and self.dropped)
        if whole:
            check_not_here(self.checkpoint.target)
        self.begin_rewriting(touched)
        if whole:
            self.exchanged_directory(touched)
        elif touched:
            path = real_path(self.checkpoint, touched[0])
            self.new_file(touched[0], Destination(path, touched[0].mode, exists=True))
        return self.replaced(touched)

    def begin_rewriting(self, files: Sequence[CheckpointFile]) -> None:
        """Begin, unless `files` are damaged, lest new checksums cover it up: what is overwritten whole may be."""
        contents = [self.rewritten(file) for file in files]
        self.begin(sum(c.nbytes for c in contents), [(c.source, c.carried) for c in contents])

    def patched(self) -> Written:
        """Looks at no checksums: a patch that was interrupted left some of them unfinished.

        Raises `UsageError` where new values depend on old ones: the same command could not complete it.
        """
        if self.olds:
            names = listed([shown(part.tensor.name) for part in self.olds])
            message = f"patch: {names}: filled from what is there, which a patch overwrites"
            raise UsageError(Problem("output.patch", message, "leave --patch out"))
        touched = self.touched()
        check_in_place(self.checkpoint, touched)
        check_not_linked(self.checkpoint, touched)
        self.begin(sum(target.nbytes for targets in self.targets.values() for target in targets))
        self.computer()  # can be had, before anything is overwritten
        overwriting = False
        try:
            for file in touched:
                with PatchedFile(real_path(self.checkpoint, file)) as patched:
                    self.checkpoint.check_opened(file, patched.descriptor)
                    content = self.rewritten(file)
                    reserve(patched.descriptor, content.filled, patched.path, unshare=True)
                    overwriting = True
                    self.fill_in_place(patched.descriptor, content.targets, content.stale, patched.sync)
        except BaseException as error:
            if not overwriting:
                raise
            raise unfinished(self.checkpoint, error) from error
        if touched:
            self.committed()
        return self.replaced(touched)

    def rewritten(self, file: CheckpointFile) -> Content:
        if file.name not in self.contents:
            content = rewritten(file, self.targets[file.name])
            if not all(checksum.value for checksum in content.stale):
                with self.source(file) as source:
                    content = replace(content, stale=tuple(c for c in content.stale if is_computed(c, source)))
            self.contents[file.name] = content
        return self.contents[file.name]

    def touched(self) -> list[CheckpointFile]:
        return [file for file in self.checkpoint.files if self.targets[file.name]]

    def replaced(self, touched: Sequence[CheckpointFile]) -> Written:
        return Written(self.checkpoint.path, tuple(file.name for file in touched))

    def new_file(self, file: CheckpointFile, target: Destination, *, no_clobber: bool = False) -> None:
        content = self.rewritten(file)
        with StagedFile(target.path) as staged:
            rest = self.prepare(content, staged)
            with self.source(file) as source, storage_errors(target.path):
                self.fill(
                    staged.descriptor, content.targets, copy_tasks(source, rest, staged.descriptor), content.stale
                )
            staged.sync(target.mode)
            self.checkpoint.check_unchanged([file])
            self.plan.check_sources()
            staged.commit(no_clobber=no_clobber, on_commit=self.committed)

    def new_directory(
        self, target: Destination, files: Sequence[CheckpointFile], may_replace: Callable[[], None] | None
    ) -> None:
        with StagedDirectory(target.path) as staged:
            self.write_into(staged, {file.name: file for file in files})
            staged.sync(target.mode, like=self.checkpoint.directory)
            self.checkpoint.check_unchanged(files)
            self.plan.check_sources()
            staged.commit(may_replace=may_replace, on_commit=self.committed)

    def exchanged_directory(self, touched: Sequence[CheckpointFile]) -> None:
        """A directory that shares all files that stay takes the old one's place: several shards change at once, or some
        files are dropped.
        """
        with StagedDirectory(self.checkpoint.target) as staged:
            directory = self.checkpoint.directory
            self.write_into(
                staged, {os.path.relpath(real_path(self.checkpoint, file), directory): file for file in touched}
            )
            staged.link_rest(self.checkpoint.target, without=self.dropped)
            staged.sync(os.stat(self.checkpoint.target).st_mode, like=self.checkpoint.target)
            self.checkpoint.check_unchanged(touched)
            self.plan.check_sources()
            staged.commit(may_replace=partial(check_not_here, self.checkpoint.target), on_commit=self.committed)

    def write_into(self, staged: StagedDirectory, files: Mapping[str, CheckpointFile]) -> None:
        """Write files under the names they get: for all of them room is taken first."""
        prepared = []
        for name, file in files.items():
            with staged.file(name) as new:
                content = self.rewritten(file)
                prepared.append((content, new, self.prepare(content, new)))
        for content, new, rest in prepared:
            with new, self.source(content.source) as source, storage_errors(new.target):
                self.fill_elements(new.descriptor, content.targets, copy_tasks(source, rest, new.descriptor))
        with storage_errors(staged.target):
            self.fill_wholes((target, new.opened) for content, new, _ in prepared for target in content.targets)
        for content, new, _ in prepared:
            with new, storage_errors(new.target):
                self.change(renew, new.descriptor, content.stale)
                new.sync(content.source.mode)

    def prepare(self, content: Content, new: NewFile) -> list[ByteRange]:
        """Give `new` its size and take room for it; returns what must be copied: kept bytes that cannot be shared."""
        with self.source(content.source) as source, storage_errors(new.target):
            os.ftruncate(new.descriptor, content.source.size)
            rest = share(source, new.descriptor, content.kept)
            reserve(new.descriptor, joined([*content.filled, *rest]), new.target)
        if shared := total(content.kept) - total(rest):
            self.workers.advance(shared)
        return rest


def unfinished(checkpoint: Checkpoint, reason: BaseException) -> UncertainError:
    """The error for a patch that stopped in the middle."""
    why = str(reason) or type(reason).__name__
    message = f"{shown(checkpoint.path)}: holds new values in a part of its tensors and old ones in the rest: {why}"
    hint = "the same command completes it, once nothing stands in its way"
    return UncertainError(Problem("patch.unfinished", message, hint))
