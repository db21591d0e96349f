"""A checkpoint's table: its files and its tensors, frozen at the moment of reading."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from initctl.errors import ConflictError, Problem, shown
from initctl.formats.opening import open_regular

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from initctl.formats.optimizers import Optimizer
    from initctl.tensors import TensorSpec


_WEIGHTS = (".safetensors", ".safetensors.index.json", ".bin.index.json")
"""What files are called that hold weights, or say where they lie."""


class Identity(NamedTuple):
    """What tells whether a file is still the one that was read."""

    device: int
    inode: int
    size: int
    mtime_ns: int
    ctime_ns: int

    @classmethod
    def of(cls, status: os.stat_result) -> Identity:
        return cls(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


class Checksum(NamedTuple):
    """The CRC-32 of a file's bytes from `start` to `stop`, which `name` are: `value`, stored at each of `places`.

    It is `unfinished` where it stands at the last place alone, and the others hold zeros: while a patch is at work.
    Where the `value` is 0 there may be none: no content is held to it.
    """

    name: str
    start: int
    stop: int
    value: int
    places: tuple[int, ...]
    unfinished: bool = False


@dataclass(frozen=True, slots=True)
class CheckpointFile:
    """One file of a checkpoint; `name` is relative to the checkpoint's directory, with `/` between its parts."""

    name: str
    identity: Identity
    mode: int
    checksums: tuple[Checksum, ...] = ()

    @classmethod
    def of(cls, name: str, status: os.stat_result, checksums: tuple[Checksum, ...] = ()) -> CheckpointFile:
        return cls(name, Identity.of(status), stat.S_IMODE(status.st_mode), checksums)

    @property
    def size(self) -> int:
        return self.identity.size


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What a path holds.

    `directory` holds the files; `target` is what a rewrite replaces: the one file, or the directory where
    `is_directory`. `tensors` keep the order of their names in the file, shard after shard. `other_files` belong to the
    directory but hold no tensors; they go along with a copy of it.

    Names of `tensors` are relative to `root`, the dotted keys that lead to the state dict. `outside` of it lie tensors
    that no rule reaches, under their whole names; `unlisted` are bytes that something leads to which is no tensor with
    a name, called by the keys near it. `contents` say, for each file, what lies beside tensors. A
    directory may be `described_by` one of the other files, which says where tensors lie.
    """

    path: str
    format: str
    directory: str
    target: str
    is_directory: bool
    files: tuple[CheckpointFile, ...]
    tensors: tuple[TensorSpec, ...]
    metadata: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    other_files: tuple[CheckpointFile, ...] = ()
    warnings: tuple[Problem, ...] = ()
    root: str = ""
    outside: tuple[TensorSpec, ...] = ()
    unlisted: tuple[TensorSpec, ...] = ()
    contents: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    optimizers: tuple[Optimizer, ...] = ()
    described_by: str | None = None

    @property
    def is_safetensors(self) -> bool:
        """Whether its files are of safetensors."""
        return self.format.startswith("safetensors")

    @property
    def companions(self) -> tuple[CheckpointFile, ...]:
        """The other files that go along when it is converted: none that says where weights lie, or holds them too."""
        return tuple(
            file
            for file in self.other_files
            if file.name != self.described_by and ("/" in file.name or not file.name.endswith(_WEIGHTS))
        )

    def open(self, file: CheckpointFile) -> int:
        """A descriptor to read `file` from. Raises `ConflictError` where it changed."""
        path = os.path.join(self.directory, file.name)
        if not os.path.lexists(path):
            raise self.changed(file)
        descriptor, status = open_regular(path)
        if Identity.of(status) != file.identity:
            os.close(descriptor)
            raise self.changed(file)
        return descriptor

    def check_opened(self, file: CheckpointFile, descriptor: int) -> None:
        """Raise `ConflictError` unless what `descriptor` has open is still the `file` that was read."""
        if Identity.of(os.fstat(descriptor)) != file.identity:
            raise self.changed(file)

    def check_unchanged(self, files: Iterable[CheckpointFile]) -> None:
        """Raise `ConflictError` unless each of `files` is still the one that was read."""
        for file in files:
            try:
                status = os.stat(os.path.join(self.directory, file.name))
            except OSError:
                raise self.changed(file) from None
            if Identity.of(status) != file.identity:
                raise self.changed(file)

    def changed(self, file: CheckpointFile) -> ConflictError:
        """The error for a file that is no longer the one that was read."""
        path = shown(os.path.join(self.directory, file.name))
        return ConflictError(Problem("input.changed", f"{path}: was changed while it was read", "run again"))
