"""What an output path means for a checkpoint, and when it is refused."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING

from initctl.errors import ConflictError, Problem, StorageError, UsageError, shown

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from initctl.formats import Checkpoint, CheckpointFile

_NAMED_AT_MOST = 3


@dataclass(frozen=True, slots=True)
class Destination:
    """Where the output goes: the real path of a file or directory, and the permissions it gets."""

    path: str
    mode: int


def destination(checkpoint: Checkpoint, output: str, *, no_clobber: bool) -> Destination:
    """Where `output` is, for a copy of `checkpoint`.

    A symbolic link is followed, so that it goes on to lead to the result. Raises `UsageError` where it is the input,
    `StorageError` where its directory is missing, and `ConflictError` where something stands there that must stay.
    """
    path = os.path.realpath(output)
    parent = os.path.dirname(path)
    if not os.path.isdir(parent):
        raise StorageError(
            Problem(
                "output.parent", f"{shown(output)}: the directory {shown(parent)} does not exist", "create it first"
            )
        )
    if not os.path.lexists(path):
        return Destination(path, stat.S_IMODE(os.stat(checkpoint.target).st_mode))
    _check_is_other(checkpoint, path, output)
    if no_clobber:
        raise ConflictError(Problem("output.exists", f"{shown(output)}: exists"))
    _check_kind(checkpoint, path, output)
    if checkpoint.is_directory:
        _check_replaceable(checkpoint, path, output)
    else:
        check_not_cached(path)
    return Destination(path, stat.S_IMODE(os.stat(path).st_mode))


def check_in_place(checkpoint: Checkpoint, files: Iterable[CheckpointFile]) -> None:
    """Refuse to replace `files` of `checkpoint` where others see them under other names. Raises `ConflictError`."""
    for file in files:
        path = os.path.join(checkpoint.directory, file.name)
        check_not_cached(os.path.realpath(path))
        if os.stat(path).st_nlink > 1:
            message = f"{shown(path)}: has other hard links, which would keep the old content"
            raise ConflictError(Problem("output.hard_links", message, "write to another file with -o"))


def check_not_cached(path: str) -> None:
    """Refuse a file of Hugging Face's cache, whose name is the hash of its content."""
    blobs = os.path.dirname(path)
    if os.path.basename(blobs) == "blobs" and os.path.isdir(os.path.join(os.path.dirname(blobs), "snapshots")):
        message = f"{shown(path)}: lies in the Hugging Face cache, where a file's name is the hash of its content"
        raise ConflictError(Problem("output.cached", message, "write to another file with -o"))


def _check_is_other(checkpoint: Checkpoint, path: str, output: str) -> None:
    sources = [checkpoint.target, *(os.path.join(checkpoint.directory, file.name) for file in checkpoint.files)]
    if any(os.path.samefile(path, source) for source in sources):
        raise UsageError(Problem("output.is_input", f"{shown(output)}: is the input", "use --in-place to replace it"))


def _check_kind(checkpoint: Checkpoint, path: str, output: str) -> None:
    status = os.stat(path)
    if checkpoint.is_directory != stat.S_ISDIR(status.st_mode):
        wanted = "a directory, as the input is" if checkpoint.is_directory else "a file, as the input is"
        raise UsageError(Problem("output.kind", f"{shown(output)}: is there, but is not {wanted}"))
    if not checkpoint.is_directory and not stat.S_ISREG(status.st_mode):
        raise UsageError(Problem("output.kind", f"{shown(output)}: is not a regular file"))


def _check_replaceable(checkpoint: Checkpoint, path: str, output: str) -> None:
    """A directory is replaced whole, so it may hold nothing that the result does not hold too."""
    names = {os.path.normpath(file.name) for file in (*checkpoint.files, *checkpoint.other_files)}
    if strangers := sorted(set(_files(path)) - names):
        more = f" and {len(strangers) - _NAMED_AT_MOST} more" if len(strangers) > _NAMED_AT_MOST else ""
        listed = ", ".join(shown(name) for name in strangers[:_NAMED_AT_MOST]) + more
        message = f"{shown(output)}: holds files that are not part of the result: {listed}"
        raise ConflictError(Problem("output.strangers", message, "name a new directory, or remove them"))


def _files(directory: str) -> Iterator[str]:
    for parent, _, names in os.walk(directory):
        for name in names:
            yield os.path.relpath(os.path.join(parent, name), directory)
