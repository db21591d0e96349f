"""The tensors of a checkpoint, filled or as they are, in new files of another format, or in other shards."""

from __future__ import annotations

import os
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from initctl.commit import StagedDirectory, StagedFile, reserve, storage_errors, write_all
from initctl.errors import FitError, Problem, shown
from initctl.execution.destination import check_replaced, destination
from initctl.execution.result import Written
from initctl.execution.strided import gather_tasks
from initctl.execution.tasks import copy_tasks
from initctl.execution.writer import Writer
from initctl.filling import TargetBlock
from initctl.formats.directories import shards
from initctl.formats.file_formats import DISTRIBUTED, SLICES
from initctl.formats.parts.placeholders import where_they_are, without_elements
from initctl.formats.state_dicts.ties import FORMAT
from initctl.layout import ByteRange
from initctl.tensors import TensorPart, TensorSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from initctl.commit import NewFile
    from initctl.events import Event
    from initctl.execution.writer import Kept
    from initctl.formats import CheckpointFile, Checksum
    from initctl.formats.writing.formats import Format, Layout, Part
    from initctl.planning import Action, Plan
    from initctl.stream import Old
    from initctl.workers import Workers


_LARGEST_FILE = 2**63


class NewShard(NamedTuple):
    """A file to be written: how it is laid out, and its tensors as they are in the input."""

    name: str
    layout: Layout
    tensors: Sequence[TensorSpec]


class Converter(Writer):
    """Writes a checkpoint's tensors to files of a `format`, ties once, each in one piece in row-major order."""

    def __init__(
        self,
        plan: Plan,
        format_: Format,
        workers: Workers,
        olds: Mapping[TensorPart, Old],
        on_event: Callable[[Event], None] | None,
    ) -> None:
        super().__init__(plan, workers, olds, on_event)
        self.format = format_

    def to_file(self, output: str, *, overwrite: bool | None) -> Written:
        target = destination(self.checkpoint, output, is_directory=False, overwrite=overwrite)
        shard = self.shard(os.path.basename(target.path), self.tensors())
        self.begin(_nbytes([shard]), self.checksums)
        with StagedFile(target.path) as staged:
            self.prepare(shard, staged)
            self.write(shard, staged)
            staged.sync(target.mode)
            self.checkpoint.check_unchanged(self.checkpoint.files)
            self.plan.check_sources()
            staged.commit(no_clobber=overwrite is False, on_commit=self.committed)
        return Written(output, (shard.name,))

    def to_directory(
        self, output: str, *, largest: int, overwrite: bool | None, dropped: Sequence[str] = ()
    ) -> Written:
        """Write shards of at most `largest` bytes of tensors, and the input's other files but those `dropped`."""
        target = destination(self.checkpoint, output, is_directory=True, overwrite=overwrite)
        naming = self.naming
        spread = shards.spread(self.tensors(), largest, naming)
        made = [self.shard(self.checkpoint.named(name), tensors) for name, tensors in spread.items()]
        indexes = {self.checkpoint.named(naming.index): shards.index_of(spread)} if len(made) > 1 else {}
        new = {*(shard.name for shard in made), *indexes, *dropped}
        others = [file for file in self.checkpoint.side_files if file.name not in new]
        names = [*(shard.name for shard in made), *indexes, *(file.name for file in others)]
        may_replace = None if overwrite is False else partial(check_replaced, target.path, output, names)
        if may_replace and target.exists:
            may_replace()
        self.begin(_nbytes(made) + sum(file.size for file in others), self.checksums)
        with StagedDirectory(target.path) as staged:
            self.write_shards(staged, made)
            self.write_others(staged, others)
            self.write_indexes(staged, indexes)
            staged.sync(target.mode, like=self.checkpoint.directory)
            self.checkpoint.check_unchanged([*self.checkpoint.files, *others])
            self.plan.check_sources()
            staged.commit(may_replace=may_replace, on_commit=self.committed)
        return Written(output, tuple(names))

    @property
    def naming(self) -> shards.Naming:
        """What the new files are called: as the index or the one file that the checkpoint was read by."""
        if self.checkpoint.format in (DISTRIBUTED, SLICES):  # their files are called by ranks
            return shards.Naming()
        return shards.Naming.after(os.path.basename(self.checkpoint.described_by or self.checkpoint.files[0].name))

    def write_others(self, staged: StagedDirectory, others: Iterable[CheckpointFile]) -> None:
        for file in others:
            with staged.file(file.name) as new, self.source(file) as source, storage_errors(new.target):
                self.workers.run(copy_tasks(source, [ByteRange(0, file.size)], new.descriptor))
                new.sync(file.mode)

    def write_indexes(self, staged: StagedDirectory, indexes: Mapping[str, bytes]) -> None:
        for name, content in indexes.items():
            with staged.file(name) as new, storage_errors(new.target):
                write_all(new.descriptor, content, 0)
                new.sync(self.checkpoint.files[0].mode)

    @property
    def checksums(self) -> list[tuple[CheckpointFile, Sequence[Checksum]]]:
        """All that the files hold: what is damaged is refused, as far as they tell."""
        return [(file, file.checksums) for file in self.checkpoint.files]

    def write_shards(self, staged: StagedDirectory, made: Iterable[NewShard]) -> None:
        """For all of them room is taken first."""
        prepared = []
        for shard in made:
            with staged.file(shard.name) as new:
                self.prepare(shard, new)
                prepared.append((shard, new))
        for shard, new in prepared:
            with new:
                self.write(shard, new)
                new.sync(self.checkpoint.files[0].mode)

    def tensors(self) -> list[TensorSpec]:
        """What is to be written, in the checkpoint's order, of tied tensors the first, unless another name cannot be
        noted.

        Whoever reads a part of a model looks for the name that it has there, and state dicts list a model's inner parts
        before its heads. Raises `FitError` if the format cannot hold it.
        """
        problems = []
        for tensor in self.checkpoint.tensors:
            if reason := tensor.unwritable or self.format.unfit(tensor):
                message = f"tensor {shown(tensor.name)}: cannot be written to {self.format.title}: {reason}"
                problems.append(Problem("convert.unfit", message))
        problems += self.nothing()
        if problems:
            raise FitError(*problems)
        first: dict[tuple[str, ...], TensorSpec] = {}
        for tensor in self.checkpoint.tensors:
            names = tensor.tied or (tensor.name,)
            first[names] = tensor if tensor.name == FORMAT else first.get(names, tensor)
        return list(first.values())

    def nothing(self) -> Iterator[Problem]:
        """What is wrong if a conversion would write no element."""
        place, tensors = shown(self.checkpoint.path), self.checkpoint.tensors
        if not tensors:
            yield Problem("convert.empty", f"{place}: holds no tensors to convert")
        elif not any(tensor.numel for tensor in tensors):
            fault = f"{place}: there is nothing to convert: {without_elements(tensors)}"
            yield Problem("convert.empty", fault, where_they_are(self.checkpoint))

    def shard(self, name: str, tensors: Sequence[TensorSpec]) -> NewShard:
        layout = self.format.layout(name, tensors, self.checkpoint)
        if layout.size >= _LARGEST_FILE:
            place = shown(max(tensors, key=lambda tensor: tensor.nbytes).name)
            raise FitError(Problem("convert.unfit", f"tensor {place}: takes more bytes than a file can hold"))
        return NewShard(name, layout, tensors)

    def prepare(self, shard: NewShard, new: NewFile) -> None:
        with storage_errors(new.target):
            os.ftruncate(new.descriptor, shard.layout.size)
            reserve(new.descriptor, [ByteRange(0, shard.layout.size)], new.target)

    def write(self, shard: NewShard, new: NewFile) -> None:
        """Write what is around the tensors, copy those that stay and compute the others."""
        offsets = shard.layout.offsets
        places = {tensor.stream_name: offsets[tensor.name] for tensor in shard.tensors}
        filled = [
            action for action in self.plan.distinct_actions if action.part.numel and action.tensor.stream_name in places
        ]
        targets = [_target(action, places[action.tensor.stream_name]) for action in filled]
        kept = [(k.part, offsets[k.tensor.name]) for k in self.plan.kept if k.part.numel and k.tensor.name in offsets]
        with ExitStack() as stack, storage_errors(new.target):
            sources = {file.name: stack.enter_context(self.source(file)) for file in self.sources(kept)}
            _write_parts(new.descriptor, shard.layout.parts)
            self.fill(new.descriptor, targets, _moved(kept, sources, new.descriptor), shard.layout.checksums)
            _write_parts(new.descriptor, shard.layout.closing(new.descriptor))

    def sources(self, kept: Iterable[tuple[TensorPart, int]]) -> list[CheckpointFile]:
        """The files that `kept` tensors lie in."""
        names = {name for part, _ in kept for name in part.tensor.files}
        return [file for file in self.checkpoint.files if file.name in names]


def _write_parts(descriptor: int, parts: Iterable[Part]) -> None:
    for place, content in parts:
        write_all(descriptor, content, place)


def _nbytes(made: Iterable[NewShard]) -> int:
    return sum(tensor.nbytes for shard in made for tensor in shard.tensors)


def _target(action: Action, offset: int) -> TargetBlock:
    """What `action` fills of its tensor if that begins at `offset`."""
    tensor = action.tensor
    moved = TensorSpec.contiguous(tensor.name, tensor.dtype, tensor.shape, "", offset)
    (block,) = TensorPart(moved, action.rows).blocks
    return TargetBlock(action, block, action.law)


def _moved(kept: Iterable[tuple[TensorPart, int]], sources: Mapping[str, int], destination: int) -> Iterator[Kept]:
    """Tasks that copy parts of tensors, each to where its tensor begins."""
    for part, offset in kept:
        for block in part.blocks:
            yield from gather_tasks(part.tensor, block, sources[block.file], destination, offset)
