"""The real path and the permissions of a result; what must not be replaced."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from initctl import paths
from initctl.commit.attributes import new_file_mode
from initctl.commit.failure import storage_errors
from initctl.commit.mounts import check_no_bucket, check_no_mount_point
from initctl.commit.places import check_parent, is_open_stream
from initctl.commit.replacing import check_exchange
from initctl.commit.tree import tree
from initctl.errors import ConflictError, InputError, Problem, StorageError, UsageError, listed, shown
from initctl.formats import Checkpoint, CheckpointFile, check_files_finished, check_is_checkpoint
from initctl.formats.checkpoint_file import Identity
from initctl.hub_cache import check_not_cached
from initctl.stores.places import place_in_store, place_of
from initctl.stores.store import History
from initctl.traces import are_parts, is_trace

if TYPE_CHECKING:
    from initctl.planning import Plan

_READ_AND_WRITE = 0o666
_READ = 0o444
_ATTEMPTS = 100
"""Attempts to list a directory that another process keeps replacing."""
_ELSEWHERE = "write to another file with -o"
_EMPTY_PREFIX = "write to a prefix with nothing below it"


class Destination(NamedTuple):
    """The real path of the output, a file or a directory, its permissions, and how it takes its place.

    With `no_clobber` nothing is replaced. Otherwise `check` is called before anything is replaced; in a store, before
    anything is uploaded. If `without` is given, all other files of the directory there become files of the new
    one, except these.
    """

    path: str
    mode: int
    is_directory: bool = False
    no_clobber: bool = False
    check: Callable[[], None] | None = None
    without: Sequence[str] | None = None

    def check_step(self, staged: str) -> None:
        """Raise `StorageError` if a result cannot take its place in one step. It is called before work is done, and
        tries it in the directory `staged`.
        """
        if self.is_directory and not self.no_clobber and self.has_content:
            check_exchange(staged, self.path)

    @property
    def is_in_place(self) -> bool:
        """Whether it is a directory that takes the place of the checkpoint's own."""
        return self.without is not None

    @property
    def has_content(self) -> bool:
        """Whether a file is there, or a directory that is not empty."""
        return paths.is_file(self.path) or (paths.is_directory(self.path) and bool(os.listdir(self.path)))


def destination(checkpoint: Checkpoint, output: str, *, is_directory: bool, overwrite: bool | None) -> Destination:
    """The destination of a result of `checkpoint` at `output`.

    A symbolic link is followed, so that it still points to the result. Raises `UsageError` if `output` is the input,
    `StorageError` if its directory is missing or if it is a mount point, and `ConflictError` if it is in Hugging Face's
    cache, or must not be replaced: a file that is not a checkpoint unless `overwrite` is true, and any file or
    directory if `overwrite` is false.
    """
    path = paths.real(output)
    if is_open_stream(output):
        raise UsageError(Problem("output.kind", f"{shown(output)}: is not a regular file", "name a regular file"))
    check_parent(path, output)
    check_not_cached(path)
    if is_directory:
        check_no_bucket(path, output, "a directory cannot appear in one step")
    if checkpoint.is_directory and os.path.commonpath([path, checkpoint.target]) == checkpoint.target != path:
        message = f"{shown(output)}: is inside the input directory"
        raise UsageError(Problem("output.inside", message, "name a path outside of it"))
    there = place_of(path)
    is_new_only = is_directory and there is not None and not isinstance(there.store, History)
    check = partial(_check_new, path, output) if is_new_only else None
    if not (is_directory or there or overwrite is not None):
        found = Identity.of(os.stat(path)) if paths.is_there(path) else None
        check = partial(_check_late, path, output, found)
    if not paths.is_there(path):
        mode = _mode(checkpoint, is_directory=is_directory)
        return Destination(path, mode, is_directory, no_clobber=overwrite is False, check=check)
    _check_is_other(checkpoint, path, output)
    if overwrite is False:
        hint = _EMPTY_PREFIX if is_new_only else "leave --no-clobber out to replace it"
        raise ConflictError(Problem("output.exists", f"{shown(output)}: exists", hint))
    _check_kind(path, output, is_directory=is_directory)
    check_no_mount_point(path)
    if is_directory:
        check_not_here(path)
    else:
        _check_not_protected(output)
        check_files_finished([path])
        if not overwrite:
            _check_is_checkpoint(path, output)
    return Destination(path, os.stat(path).st_mode, is_directory, check=check)


def _mode(checkpoint: Checkpoint, *, is_directory: bool) -> int:
    """The input's permissions, or the equivalent if one is a file and the other is a directory; those of any new file
    if the result has no input.
    """
    if checkpoint.files and checkpoint.is_directory == is_directory:
        return os.stat(checkpoint.target).st_mode
    mode = checkpoint.files[0].mode & _READ_AND_WRITE if checkpoint.files else new_file_mode()
    return mode | (mode & _READ) >> 2 if is_directory else mode


def check_in_place(checkpoint: Checkpoint, files: Iterable[CheckpointFile], *, patch: bool) -> None:
    """Raise `ConflictError` if `files` of `checkpoint`, to be replaced or patched, have other hard links, or are links
    to write-protected files. Raises `UsageError` for a distributed checkpoint.
    """
    if checkpoint.is_distributed:
        message = f"{shown(checkpoint.path)}: a distributed checkpoint cannot be replaced in place"
        raise UsageError(Problem("output.distributed", message, "write to a new directory with -o"))
    for file in files:
        path = real_path(checkpoint, file)
        check_not_cached(path)
        _check_not_protected(os.path.join(checkpoint.directory, file.name))
        if os.stat(path).st_nlink > 1:
            others = "whose content would change too" if patch else "which would keep the old content"
            message = f"{shown(path)}: has other hard links, {others}"
            raise ConflictError(Problem("output.hard_links", message, _ELSEWHERE))


def check_not_linked(checkpoint: Checkpoint, files: Iterable[CheckpointFile]) -> None:
    """Raise `ConflictError` if `files` of `checkpoint` would be overwritten through symbolic links."""
    for file in files:
        path = os.path.join(checkpoint.directory, file.name)
        if paths.is_link(path):
            message = f"{shown(path)}: is a symbolic link, and its target would be overwritten"
            raise ConflictError(Problem("output.link", message, f"name {shown(paths.real(path))} instead"))


def real_path(checkpoint: Checkpoint, file: CheckpointFile) -> str:
    """The real path of `file`, whose name in the directory of `checkpoint` may be a link."""
    return paths.real(os.path.join(checkpoint.directory, file.name))


def check_not_here(path: str) -> None:
    """Raise `ConflictError` for the working directory: a shell would stay in the deleted one."""
    try:
        here = os.path.realpath(os.getcwd())
    except FileNotFoundError:  # it is deleted already
        return
    if os.path.commonpath([here, path]) == path:
        message = f"{shown(path)}: is or contains the working directory, and would be replaced by a new directory"
        raise ConflictError(Problem("output.working_directory", message, "run initctl from another directory"))


def check_no_parts(path: str) -> None:
    """Raise `ConflictError` if several processes write a file of the directory at `path`: it would be replaced without
    what they have written so far.
    """
    if begun := sorted(name for name in os.listdir(path) if are_parts(name)):
        message = f"{shown(os.path.join(path, begun[0]))}: parts of another result are begun there"
        raise ConflictError(Problem("output.parts", message, "commit them, or remove them"))


def _check_not_protected(path: str) -> None:
    """Raise `ConflictError` if `path` is a symbolic link to a write-protected file.

    Stores such as those of DVC and git-annex protect their files, which are named by hashes of their contents.
    """
    if paths.is_link(path) and paths.is_file(path) and not os.stat(path).st_mode & stat.S_IWUSR:
        message = f"{shown(path)}: is a symbolic link to a write-protected file, which would be replaced"
        hint = f"{_ELSEWHERE}, or name {shown(paths.real(path))} instead"
        raise ConflictError(Problem("output.link", message, hint))


def _check_is_other(checkpoint: Checkpoint, path: str, output: str) -> None:
    sources = [checkpoint.target, *(os.path.join(checkpoint.directory, file.name) for file in checkpoint.files)]
    if any(os.path.samefile(path, source) for source in sources):
        hint = "name another directory" if checkpoint.is_distributed else "use --in-place to replace it"
        raise UsageError(Problem("output.is_input", f"{shown(output)}: is the input", hint))
    if any(_is_below(path, source) for source in sources):
        hint = "name another directory, or use --in-place to change the input"
        fault = f"{shown(output)}: contains the input, and would be replaced"
        raise UsageError(Problem("output.is_input", fault, hint))


def _is_below(directory: str, path: str) -> bool:
    """Whether `path`, after following links, is below the real path `directory`."""
    return os.path.commonpath([directory, paths.real(path)]) == directory


def _check_kind(path: str, output: str, *, is_directory: bool) -> None:
    mode = os.stat(path).st_mode
    if is_directory and not stat.S_ISDIR(mode):
        message = f"{shown(output)}: is a file, but the result is a directory"
        raise UsageError(Problem("output.kind", message, "name a directory"))
    if not is_directory and not stat.S_ISREG(mode):
        raise UsageError(Problem("output.kind", f"{shown(output)}: is not a regular file", "name a regular file"))


def _check_new(path: str, output: str) -> None:
    """Raise `ConflictError` if objects are below `path`, which is in a store, by now."""
    there = place_in_store(path)
    if any(there.store.below(f"{there.name}/" if there.name else "", is_deep=True)):
        fault = f"{shown(output)}: contains objects, and a store cannot replace them in one step"
        raise ConflictError(Problem("output.exists", fault, _EMPTY_PREFIX))


def check_replaced(path: str, output: str, names: Iterable[str]) -> None:
    """Check that a directory of `names` may replace `path`, which messages call `output`.

    Raises `ConflictError` if the directory there contains other files, or parts of another result, which would be
    removed, and `UsageError` if a file is there.
    """
    _check_kind(path, output, is_directory=True)
    check_not_here(path)
    check_no_parts(path)
    if found := strangers(path, names):
        message = f"{shown(path)}: contains files that are not part of the result: {listed(list(map(shown, found)))}"
        hint = "name a new directory, or remove them; --force replaces files only"
        raise ConflictError(Problem("output.strangers", message, hint))


def strangers(path: str, names: Iterable[str]) -> list[str]:
    """The files in the directory at `path` but those of these `names`, and those of initctl. Raises `StorageError`."""
    with storage_errors(path):
        return sorted(_names_below(path) - set(map(os.path.normpath, names)))


def _check_late(path: str, output: str, found: Identity | None) -> None:
    """Raise `ConflictError` if another file than the one that was `found` is at `path` by now, and not a checkpoint."""
    if paths.is_there(path) and Identity.of(os.stat(path)) != found:
        _check_kind(path, output, is_directory=False)
        _check_is_checkpoint(path, output)


def _check_is_checkpoint(path: str, output: str) -> None:
    """Raise `ConflictError` if the file at `path` is not a checkpoint."""
    try:
        check_is_checkpoint(path)
    except InputError as error:
        hint = "name another file, or replace it with --force"
        raise ConflictError(Problem("output.not_checkpoint", f"{shown(output)}: {_fault(path, error)}", hint)) from None


def _fault(path: str, error: InputError) -> str:
    """What to say of a file that cannot be read as a checkpoint, from the `error` that reading it raised."""
    (problem,) = error.problems
    fault = problem.message.removeprefix(f"{shown(path)}: ")
    if problem.code == "file.format":
        return f"exists and {fault}"
    if problem.code == "torch.malformed":
        return f"exists and cannot be read as a file of torch.save: {fault}"
    return "exists and is not a checkpoint"


def check_not_source(plan: Plan, output: str) -> None:
    """Raise `UsageError` if `output` is another checkpoint that `plan` copies tensors from."""
    places = [place.checkpoint for action in plan.actions for place in action.sources.values()]
    sources = {id(source): source for source in places if source is not plan.checkpoint}.values()
    others = [os.path.join(source.directory, file.name) for source in sources for file in source.files]
    others += [source.target for source in sources]
    if os.path.exists(output) and any(os.path.samefile(output, path) for path in others if os.path.exists(path)):
        message = f"{shown(output)}: is a checkpoint that a rule copies from"
        raise UsageError(Problem("output.is_source", message, "name another file or directory"))


def _names_below(path: str) -> set[str]:
    """The names of all files below the directory at `path`. Starts over if another process replaces it meanwhile."""
    for _ in range(_ATTEMPTS):
        with suppress(FileNotFoundError):
            names = {
                os.path.relpath(os.path.join(parent, name), path) for parent, found in tree(path) for name in found
            }
            return {name for name in names if not any(map(is_trace, name.split(os.sep)))}
    raise StorageError(Problem("output.unsteady", f"{shown(path)}: keeps changing while it is listed", "run again"))
