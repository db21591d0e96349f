"""Plan → bytes: stage beside the target, write, check that the input is still the same, commit once."""

from __future__ import annotations

import os
import stat
from collections import defaultdict
from contextlib import contextmanager
from dataclasses import dataclass
from heapq import merge
from typing import TYPE_CHECKING

from initctl.commit import PatchedFile, StagedDirectory, StagedFile, reserve, share, storage_errors
from initctl.errors import ConflictError, Problem, UncertainError, shown
from initctl.execution.destination import (
    Destination,
    check_in_place,
    check_not_here,
    check_not_linked,
    check_replaceable,
    destination,
    real_path,
)
from initctl.execution.engines import choose_engines
from initctl.execution.events import Committed
from initctl.execution.memory import check_memory
from initctl.execution.pieces import Filler, filled_pieces, kept_pieces
from initctl.execution.ranges import extent, joined, kept_ranges, ruled_ranges
from initctl.execution.workers import Workers
from initctl.stream import WholeFill
from initctl.threads import processors

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from initctl.commit import NewFile
    from initctl.execution.events import Event
    from initctl.execution.pieces import Piece
    from initctl.execution.ranges import Range
    from initctl.formats import Checkpoint, CheckpointFile
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
    patch: bool = False,
    threads: int | None = None,
    no_clobber: bool = False,
    on_event: Callable[[Event], None] | None = None,
) -> Written:
    """Carry out `plan` and write the checkpoint to `output`, or, without one, in place.

    Memory does not grow with the checkpoint, but for initializers that need a whole tensor: they have room for one at a
    time. Whatever is raised, what was there is as it was and nothing is left behind, but for `UncertainError` and for
    what `on_event` raises on `Committed`: then the result is in place. In place, `patch` overwrites the ruled bytes
    where they lie: then `UncertainError` also says that some of them hold new values and some do not.
    """
    plan.checkpoint.check_unchanged(plan.checkpoint.files)
    check_memory(plan.actions)
    writer = _Writer(plan, Workers(threads or processors(), on_event), on_event)
    with storage_errors(plan.checkpoint.path if output is None else output):
        if output is not None:
            return writer.to_new_path(output, no_clobber=no_clobber)
        return writer.patched() if patch else writer.in_place()


class _Writer:
    """Writes the files of one plan."""

    def __init__(self, plan: Plan, workers: Workers, on_event: Callable[[Event], None] | None) -> None:
        self.plan = plan
        self.checkpoint = plan.checkpoint
        self.workers = workers
        self.on_event = on_event
        self.actions: dict[str, list[Action]] = defaultdict(list)
        for action in plan.actions:
            if action.tensor.nbytes:
                self.actions[action.tensor.file].append(action)

    def to_new_path(self, output: str, *, no_clobber: bool) -> Written:
        target = destination(self.checkpoint, output, no_clobber=no_clobber)
        if self.checkpoint.is_directory:
            files = (*self.checkpoint.files, *self.checkpoint.other_files)
            self.begin(sum(file.size for file in files))
            self.new_directory(target, files)
        else:
            files = self.checkpoint.files
            self.begin(sum(file.size for file in files))
            self.new_file(files[0], target, no_clobber=no_clobber)
        return Written(output, tuple(file.name for file in files))

    def in_place(self) -> Written:
        touched = self.touched()
        check_in_place(self.checkpoint, touched)
        if len(touched) > 1:
            check_not_here(self.checkpoint.target)
        self.begin(sum(file.size for file in touched))
        if len(touched) == 1:
            path = real_path(self.checkpoint, touched[0])
            self.new_file(touched[0], Destination(path, touched[0].mode, exists=True))
        elif touched:
            self.exchanged_directory(touched)
        return self.replaced(touched)

    def patched(self) -> Written:
        touched = self.touched()
        check_in_place(self.checkpoint, touched)
        check_not_linked(self.checkpoint, touched)
        self.begin(sum(action.tensor.nbytes for action in self.plan.actions))
        overwriting = False
        try:
            for file in touched:
                with PatchedFile(real_path(self.checkpoint, file)) as patched:
                    self.checkpoint.check_opened(file, patched.descriptor)
                    reserve(patched.descriptor, ruled_ranges(self.actions[file.name]), patched.path, unshare=True)
                    overwriting = True
                    self.fill(file, patched.descriptor, patched.descriptor)
                    patched.sync()
        except BaseException as error:
            if not overwriting:
                raise
            raise unfinished(self.checkpoint, error) from error
        if touched:
            self.committed()
        return self.replaced(touched)

    def touched(self) -> list[CheckpointFile]:
        return [file for file in self.checkpoint.files if self.actions[file.name]]

    def replaced(self, touched: Sequence[CheckpointFile]) -> Written:
        return Written(self.checkpoint.path, tuple(file.name for file in touched))

    def begin(self, nbytes: int) -> None:
        """Make ready for the work itself, once nothing stands in its way: compiling can take seconds."""
        self.workers.expect(nbytes)
        engines = choose_engines(self.plan.actions, threads=self.workers.threads, on_event=self.on_event)
        self.filler = Filler(self.plan.seed, engines)

    def committed(self) -> None:
        if self.on_event:
            self.on_event(Committed())

    def new_file(self, file: CheckpointFile, target: Destination, *, no_clobber: bool = False) -> None:
        with StagedFile(target.path) as staged:
            self.write(file, staged, self.prepare(file, staged))
            staged.sync(target.mode)
            self.checkpoint.check_unchanged([file])
            staged.commit(no_clobber=no_clobber, on_commit=self.committed)

    def new_directory(self, target: Destination, files: Sequence[CheckpointFile]) -> None:
        with StagedDirectory(target.path) as staged:
            self.write_into(staged, {file.name: file for file in files})
            staged.sync(target.mode, like=self.checkpoint.directory)
            self.checkpoint.check_unchanged(files)
            if target.exists:
                check_replaceable(self.checkpoint, target.path)
            staged.commit(replace=target.exists, on_commit=self.committed)

    def exchanged_directory(self, touched: Sequence[CheckpointFile]) -> None:
        """Several shards change at once: a directory that shares all other files takes the old one's place."""
        with StagedDirectory(self.checkpoint.target) as staged:
            directory = self.checkpoint.directory
            self.write_into(
                staged, {os.path.relpath(real_path(self.checkpoint, file), directory): file for file in touched}
            )
            staged.link_rest(self.checkpoint.target)
            mode = stat.S_IMODE(os.stat(self.checkpoint.target).st_mode)
            staged.sync(mode, like=self.checkpoint.target)
            self.checkpoint.check_unchanged(touched)
            staged.commit(replace=True, on_commit=self.committed)

    def write_into(self, staged: StagedDirectory, files: Mapping[str, CheckpointFile]) -> None:
        """Write files under the names they get: for all of them room is taken first."""
        prepared = []
        for name, file in files.items():
            with staged.file(name) as new:
                prepared.append((file, new, self.prepare(file, new)))
        for file, new, rest in prepared:
            with new:
                self.write(file, new, rest)
                new.sync(file.mode)

    def prepare(self, file: CheckpointFile, new: NewFile) -> list[Range]:
        """Give `new` its size and take room for it; returns what must be copied: kept bytes that cannot be shared."""
        ruled = ruled_ranges(self.actions[file.name])
        with self.source(file) as source, storage_errors(new.target):
            os.ftruncate(new.descriptor, file.size)
            kept = kept_ranges(file.size, ruled)
            rest = share(source, new.descriptor, kept)
            reserve(new.descriptor, joined([*ruled, *rest]), new.target)
        if shared := extent(kept) - extent(rest):
            self.workers.advance(shared)
        return rest

    def write(self, file: CheckpointFile, new: NewFile, kept: Sequence[Range]) -> None:
        """Copy the `kept` bytes of `file` and compute the others."""
        with self.source(file) as source, storage_errors(new.target):
            self.fill(file, source, new.descriptor, kept)

    def fill(self, file: CheckpointFile, source: int, descriptor: int, kept: Sequence[Range] = ()) -> None:
        actions = self.actions[file.name]
        fills = [(action, action.fill) for action in actions if not isinstance(action.fill, WholeFill)]
        content: Iterator[Piece] = merge(kept_pieces(kept), filled_pieces(fills, self.filler), key=_offset)
        self.workers.write(content, source, descriptor)
        for action in actions:
            if isinstance(action.fill, WholeFill):
                self.fill_whole(action, action.fill, source, descriptor)

    def fill_whole(self, action: Action, whole: WholeFill, source: int, descriptor: int) -> None:
        """One tensor whose values depend on each other; what was prepared is gone when the next one begins."""
        prepared = whole.prepared(self.filler.draws(action))
        self.workers.write(filled_pieces([(action, prepared)], self.filler), source, descriptor)

    @contextmanager
    def source(self, file: CheckpointFile) -> Iterator[int]:
        """A descriptor that reads `file`."""
        descriptor = self.checkpoint.open(file)
        try:
            yield descriptor
        except ConflictError:
            raise self.checkpoint.changed(file) from None
        finally:
            os.close(descriptor)


def _offset(piece: Piece) -> int:
    return piece.offset


def unfinished(checkpoint: Checkpoint, reason: BaseException) -> UncertainError:
    """The error for a patch that stopped in the middle."""
    why = str(reason) or type(reason).__name__
    message = f"{shown(checkpoint.path)}: holds new values in a part of its tensors and old ones in the rest: {why}"
    hint = "the same command completes it, once nothing stands in its way"
    return UncertainError(Problem("patch.unfinished", message, hint))
