"""A checkpoint's table: its files and its tensors, frozen at the moment of reading."""

from __future__ import annotations

import os
import re
import stat
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from initctl.errors import ConflictError, InputError, Problem, shown

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from initctl.tensors import TensorSpec


_HASH = re.compile("[0-9a-f]{40}|[0-9a-f]{64}")
"""What the cache calls a file: a git blob's name, or the SHA-256 of what Git LFS holds."""


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


@dataclass(frozen=True, slots=True)
class CheckpointFile:
    """One file of a checkpoint; `name` is relative to the checkpoint's directory, with `/` between its parts."""

    name: str
    identity: Identity
    mode: int

    @property
    def size(self) -> int:
        return self.identity.size


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What a path holds.

    `directory` holds the files; `target` is what a rewrite replaces: the one file, or the directory where
    `is_directory`. `tensors` keep the order of their names in the file, shard after shard. `other_files` belong to the
    directory but hold no tensors; they go along with a copy of it.
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

    def open(self, file: CheckpointFile) -> int:
        """A descriptor to read `file` from. Raises `ConflictError` where it is no longer the one that was read."""
        try:
            descriptor, status = open_regular(os.path.join(self.directory, file.name))
        except InputError:
            raise self._changed(file) from None
        if Identity.of(status) != file.identity:
            os.close(descriptor)
            raise self._changed(file)
        return descriptor

    def check_unchanged(self, files: Iterable[CheckpointFile]) -> None:
        """Raise `ConflictError` unless each of `files` is still the one that was read."""
        for file in files:
            try:
                status = os.stat(os.path.join(self.directory, file.name))
            except OSError:
                raise self._changed(file) from None
            if Identity.of(status) != file.identity:
                raise self._changed(file)

    def _changed(self, file: CheckpointFile) -> ConflictError:
        path = shown(os.path.join(self.directory, file.name))
        return ConflictError(Problem("input.changed", f"{path}: was changed while it was read", "run again"))


def open_regular(path: str) -> tuple[int, os.stat_result]:
    """A descriptor that reads the regular file at `path`, and its status. Never blocks. Raises `InputError`."""
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
    try:
        descriptor = os.open(path, flags)
    except (OSError, ValueError) as error:
        raise unreadable(path, error) from None
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        os.close(descriptor)
        kind = "a directory" if stat.S_ISDIR(status.st_mode) else "not a regular file"
        raise InputError(Problem("file.kind", f"{shown(path)}: is {kind}"))
    return descriptor, status


def read_at(descriptor: int, length: int, offset: int) -> bytes:
    """`length` bytes from `offset`, or as many as there are."""
    parts: list[bytes] = []
    while length and (part := os.pread(descriptor, length, offset)):
        parts.append(part)
        length -= len(part)
        offset += len(part)
    return b"".join(parts)


def in_hub_cache(path: str) -> bool:
    """Whether the file at `path` (not a link to it) is one of Hugging Face's cache, named by its content's hash."""
    blobs, name = os.path.split(path)
    return bool(_HASH.fullmatch(name)) and os.path.basename(blobs) == "blobs"


def unreadable(path: str, error: OSError | ValueError) -> InputError:
    """The error for a path that cannot be opened."""
    if isinstance(error, FileNotFoundError):
        return InputError(Problem("file.missing", f"{shown(path)}: no such file or directory"))
    reason = (error.strerror or str(error)) if isinstance(error, OSError) else str(error)
    return InputError(Problem("file.unreadable", f"{shown(path)}: cannot be read: {reason}"))
