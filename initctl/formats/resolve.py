"""The checkpoint at a path: one file, an index of shards, or a directory."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from initctl.argument_types import path_of
from initctl.errors import Problem, UsageError, shown
from initctl.formats.file_formats import first_bytes, is_index
from initctl.formats.opening import is_folder, status_at
from initctl.formats.together import Found, together
from initctl.formats.unfinished import check_finished, half_patched
from initctl.stores.store import is_stored
from initctl.stores.url import Url, scheme_of, without_file_scheme

if TYPE_CHECKING:
    import os

    from initctl.formats.checkpoint import Checkpoint


@contextmanager
def _without_collecting() -> Iterator[None]:
    """Pause garbage collection: all objects that are read are kept, and scanning them takes a third of the time."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


@_without_collecting()
def read_checkpoint(
    path: str | os.PathLike[str], *, root: str | None = None, component: str | None = None, unfinished: bool = False
) -> Checkpoint:
    """The table of the checkpoint at `path`, or a URL: a file, an index of shards, or a directory.

    `root` are the dotted keys that lead to the state dict; by default it is searched where training frameworks put it.
    `component` is a folder of the directory at `path`: then only the tensors in this folder are read. Raises
    `InputError`; `UsageError` if no tensor is at `root`, or if there is no such folder; `TypeError` if `path` is
    something else, such as a state dict. Unless `unfinished` is true, raises `ConflictError` if a patch of the
    checkpoint was interrupted: some values are new, and others old. If only checksums show that, it is a warning.
    """
    named = without_file_scheme(path_of("checkpoint", path))
    if not is_stored(scheme_of(named)):
        found = together(_found(named, component), root)
        if unfinished:
            return found
        check_finished(found)
        return replace(found, warnings=(*found.warnings, *half_patched(found)))
    from initctl.stores.mirror import mirrored

    url = Url.parse(named)
    return replace(together(_found(mirrored(url), component), root), path=str(url))


def is_directory(path: str | os.PathLike[str]) -> bool:
    """Whether `path`, or a URL, names a directory. Raises what a store raises."""
    named = without_file_scheme(path_of("checkpoint", path))
    if not is_stored(scheme_of(named)):
        return is_folder(named)
    from initctl.stores.mirror import mirrored

    return is_folder(mirrored(Url.parse(named)))


def _found(path: str, component: str | None) -> Found:
    if is_folder(path):
        from initctl.formats.directories.directory import read_directory

        return read_directory(path, component)
    if component is not None:
        fault = f"component: {shown(path)} is a file; only a directory has components"
        raise UsageError(Problem("usage.component", fault, "remove --component"))
    if not status_at(path, follow=False):
        from initctl.formats.mistaken.remote import refuse_missing

        refuse_missing(path)
    if is_index(first_bytes(path)):
        from initctl.formats.directories.index import read_index

        return read_index(path)
    from initctl.formats.parts.lone_files import read_file

    return read_file(path)
