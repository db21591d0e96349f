"""A checkpoint's table: its files and its tensors, as they were when it was read."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

from initctl.display.tables import Displayed, Report, count, size_text
from initctl.errors import ConflictError, Problem, shown
from initctl.formats.checkpoint_file import CheckpointFile, Identity
from initctl.formats.config import CONFIG, parse_config, read_config
from initctl.formats.directories.folder import Below, files_below
from initctl.formats.directories.location import Location
from initctl.formats.file_formats import DISTRIBUTED, SAFETENSORS
from initctl.formats.opening import close, open_regular, reading, status_at
from initctl.stores.descriptors import renew
from initctl.stores.url import scheme_of
from initctl.tensors import TensorPart, TensorSpec, Totals

if TYPE_CHECKING:
    from initctl.formats.config import Setting
    from initctl.formats.optimizers import Optimizer
    from initctl.formats.optimizers.masters import Copies


IN_MEMORY = "memory"
"""The format of a model in memory."""
STALE = "directory.stale"
"""The code of the warning about stale files. It is dropped if an option already answers it."""
LEFT_OUT = "directory.left_out"
"""The code of the warning about files that a copy leaves out. It is dropped if nothing is copied."""


class Result(NamedTuple):
    """What the result of a plan has and its checkpoint has not.

    `config` is the content of `config.json`, if it differs from the one beside the checkpoint or if no file holds the
    checkpoint; `fields` are the values that differ. `files` are further files, by name. `sized` are the names of
    tensors that a size was asked for, which they may have already.
    """

    config: Mapping[str, Any] | None = None
    fields: tuple[Setting, ...] = ()
    files: Mapping[str, bytes] = {}
    sized: frozenset[str] = frozenset()


@dataclass(frozen=True, kw_only=True, repr=False)
class Checkpoint(Displayed, Location):
    """The checkpoint at a location.

    `tensors` are in the order of the files: shard after shard. Their names are relative to `root`, the dotted keys that
    lead to the state dict. `outside` are the tensors outside of it, under their full names; no rule reaches them.
    `unlisted` are bytes that belong to no named tensor; they are named after the keys near them.

    `stale` are other files of the directory that contain the same model, judging by their names. `described_by` is the
    file that says where tensors are, if there is one. `contents` say, for each file, what it contains besides tensors.
    `beside` are those of the `files` that contain optimizers; their format may be another one. `masters` are copies of
    parameters. If initctl cannot write the format, `read_only` is its name in messages: it can only be converted.

    `files` is empty for a model in memory, and for a checkpoint that is yet to be written. If some elements have no
    value yet, the table is `incomplete`: rules must fill them. `values` are the bytes of tensors that no file holds, by
    name. `result` is what the result has besides the values of tensors, and the checkpoint has not.
    """

    format: str
    files: tuple[CheckpointFile, ...]
    tensors: tuple[TensorSpec, ...]
    metadata: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    stale: tuple[str, ...] = ()
    warnings: tuple[Problem, ...] = ()
    root: str = ""
    outside: tuple[TensorSpec, ...] = ()
    unlisted: tuple[TensorSpec, ...] = ()
    contents: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    optimizers: tuple[Optimizer, ...] = ()
    masters: tuple[Copies, ...] = ()
    described_by: str | None = None
    beside: tuple[str, ...] = ()
    read_only: str | None = None
    incomplete: bool = False
    values: Mapping[str, bytes] = field(default_factory=dict)
    result: Result = field(default_factory=Result)

    def config(self) -> Mapping[str, Any] | None:
        """The content of `config.json`; None if there is no such file. Raises `InputError`."""
        if self.result.config is not None:
            return self.result.config
        if CONFIG in self.result.files:
            return parse_config(self.result.files[CONFIG])
        return read_config(self.home) if self.files else None

    @cached_property
    def resized(self) -> tuple[TensorSpec, ...]:
        """The tensors that get another shape."""
        return tuple(tensor for tensor in self.tensors if tensor.old)

    @property
    def as_read(self) -> Checkpoint:
        """The table as its files are: every tensor with its old shape, and the old `config.json`."""
        if not self.resized and self.result.config is None:
            return self
        tensors = tuple(tensor.old or tensor for tensor in self.tensors)
        return replace(self, tensors=tensors, incomplete=False, result=self.result._replace(config=None, fields=()))

    @property
    def without_config(self) -> str:
        """A clause for messages, if `config()` is None."""
        if self.is_in_memory:
            return "the model has no config of transformers"
        return "there is no config.json beside the checkpoint"

    @property
    def absolute(self) -> str:
        """The path or the URL that it was read by, independent of the working directory."""
        if scheme_of(self.path):
            return self.path
        name = os.path.basename(self.path)
        is_file = not self.is_directory or self.named(name) == self.described_by
        return os.path.join(self.home, name) if is_file else self.directory

    @property
    def is_safetensors(self) -> bool:
        return self.format.partition("-")[0] == SAFETENSORS

    @property
    def is_in_memory(self) -> bool:
        return self.format == IN_MEMORY

    @property
    def is_distributed(self) -> bool:
        return self.format == DISTRIBUTED

    @cached_property
    def below(self) -> Below:
        """Everything below the directory. Raises `InputError` if a folder cannot be read, since a copy would lose it.

        It is read at the first access, since only a copy and `verify` need it.
        """
        return files_below(self.directory)

    @property
    def other_files(self) -> tuple[CheckpointFile, ...]:
        """The files of the directory without tensors; a copy of the directory contains them too.

        Raises the errors of `below`.
        """
        own = {file.name for file in self.files}
        return tuple(file for file in self.below.files if file.name not in own) if self.is_directory else ()

    @property
    def side_files(self) -> tuple[CheckpointFile, ...]:
        """The other files that a conversion copies: all but the one that says where tensors are, and those that are
        written anew.
        """
        return tuple(f for f in self.other_files if f.name != self.described_by and f.name not in self.result.files)

    @property
    def by_name(self) -> dict[str, TensorSpec]:
        """Each of `tensors` by its name, and by its aliases, which files only note in their metadata."""
        found = {tensor.name: tensor for tensor in self.tensors}
        for tensor in self.tensors:
            for alias in tensor.aliases:
                found.setdefault(alias, tensor)
        return found

    def differs_in_size(self, other: Checkpoint) -> bool:
        """Whether a tensor of `other` has the same dtype here, but another shape."""
        here = self.by_name
        pairs = ((here[name], tensor) for name, tensor in other.by_name.items() if name in here)
        return any(one.dtype == tensor.dtype and one.shape != tensor.shape for one, tensor in pairs)

    @property
    def totals(self) -> Totals:
        """The totals of all tensors that rules reach."""
        return Totals.of(map(TensorPart, self.tensors))

    def to_json(self, only: Sequence[TensorSpec] | None = None) -> dict[str, Any]:
        """The table as the `data` of initctl's JSON output. If `only` is given, it lists and counts only these of the
        tensors that rules reach.
        """
        from initctl.formats.overview import tensors_json

        tensors = self.tensors if only is None else only
        return {
            "format": self.format,
            "root": self.root,
            "metadata": {file: dict(metadata) for file, metadata in self.metadata.items()},
            "contents": {file: dict(contents) for file, contents in self.contents.items()},
            "tensors": tensors_json(tensors, self.tensors),
            "outside": tensors_json(self.outside, self.outside),
            "optimizers": [
                {"name": optimizer.name, "kinds": list(optimizer.kinds), "tensors": sorted(optimizer.tensors)}
                for optimizer in self.optimizers
            ],
            "copies": [
                {"place": copies.place, "writer": copies.writer, "tensors": list(copies.tensors)}
                for copies in self.masters
            ],
            "totals": Totals.of(map(TensorPart, tensors))._asdict(),
        }

    def report(self, only: Sequence[TensorSpec] | None = None, *, unfold: bool = False) -> Report:
        """One row for each tensor, remarks, and totals. Long lists are folded unless `unfold`.

        If `only` is given, the report is about these of the tensors, and leaves out what is not a tensor.
        """
        from initctl.formats.overview import remarks, reversals, table

        tensors = self.tensors if only is None else only
        totals = Totals.of(map(TensorPart, tensors))
        sums = f"{count(totals.tensors, 'tensor')}, {count(totals.elements, 'element')}, {size_text(totals.bytes)}"
        files = f"{self.format}, {count(len(self.files), 'file')}"
        notes = [*remarks(tensors, unfold=unfold), *reversals(tensors, self.tensors)]
        root = [f"root: {shown(self.root)}"] if self.root else []
        besides = self._besides() if only is None else ()
        return [table(tensors, unfold=unfold), "", *root, *notes, *besides, f"{sums}; {files}"]

    def _besides(self) -> Iterator[str]:
        """A line for each thing in the checkpoint that is not one of its tensors."""
        from initctl.formats.optimizers.masters import of_optimizers
        from initctl.formats.overview import described, optimizing, outside_of_root

        yield from optimizing(self.optimizers, self.masters)
        remembered = of_optimizers(self.optimizers, self.masters)
        yield from outside_of_root(tensor.name for tensor in self.outside if tensor.name not in remembered)
        yield from described(self.contents)
        yield from described(self.metadata)

    def holds(self, path: str) -> bool:
        """Whether the file at `path` is one of its files, or in its directory."""
        if any(os.path.samefile(path, os.path.join(self.directory, file.name)) for file in self.files):
            return True
        parent, name = os.path.split(path)
        places = (os.path.join(os.path.realpath(parent), name), os.path.realpath(path))
        return self.is_directory and any(os.path.commonpath([p, self.directory]) == self.directory for p in places)

    def open(self, file: CheckpointFile) -> int:
        """A descriptor to read `file` from. Raises `ConflictError` if it changed."""
        path = os.path.join(self.directory, file.name)
        if not status_at(path, follow=False):
            raise self.changed(file)
        descriptor, status = open_regular(path)
        if Identity.of(status) != file.identity:
            close(descriptor)
            raise self.changed(file)
        return descriptor

    def check_opened(self, file: CheckpointFile, descriptor: int) -> None:
        """Raise `ConflictError` unless the file open at `descriptor` is still the `file` that was read."""
        with reading(os.path.join(self.directory, file.name)):
            status = os.fstat(descriptor)
        if Identity.of(status) != file.identity:
            raise self.changed(file)

    def check_unchanged(self, files: Iterable[CheckpointFile]) -> None:
        """Raise `ConflictError` unless each of `files` is still the one that was read."""
        paths = {os.path.join(self.directory, file.name): file for file in files}
        renew(paths)
        for path, file in paths.items():
            if not file.is_at(path):
                raise self.changed(file)

    def changed(self, file: CheckpointFile) -> ConflictError:
        """The error for a file that is no longer the one that was read."""
        path = shown(os.path.join(self.directory, file.name))
        return ConflictError(Problem("input.changed", f"{path}: changed while it was read", "run again"))
