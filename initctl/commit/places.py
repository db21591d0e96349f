"""Where output can go, checked before any work is done."""

from __future__ import annotations

import os

from initctl import paths
from initctl.commit.mounts import check_no_mount_point
from initctl.commit.staging import StagedFile
from initctl.errors import Problem, StorageError, UsageError, shown
from initctl.hub_cache import check_not_cached
from initctl.stores.url import did_you_mean_url, scheme_of
from initctl.suggestions import about_home

_STREAMS = ("/dev/std", "/dev/fd/", "/proc/self/fd/")


def is_open_stream(path: str) -> bool:
    """Whether `path` is one of the process's own open files, which must not be replaced."""
    return os.path.abspath(path).startswith(_STREAMS)


def check_file_place(path: str) -> None:
    """Raise `StorageError` if no file can be created at `path`; `ConflictError` if it leads into Hugging Face's cache;
    and `UsageError` if it is a URL, or if something else than a regular file is there.
    """
    check_is_local(path)
    target = paths.real(path)
    if is_open_stream(path) or (paths.is_there(target) and not paths.is_file(target)):
        raise UsageError(Problem("output.kind", f"{shown(path)}: is not a regular file", "name a regular file"))
    check_not_cached(target)
    check_parent(target, path)
    check_no_mount_point(target)
    with StagedFile(target):
        pass  # only creating a file beside the target proves that it is possible


def check_is_local(path: str) -> None:
    """Raise `UsageError` if `path` is a URL."""
    if scheme_of(path):
        fault = f"{shown(path)}: is a URL, but this is written to a local file"
        raise UsageError(Problem("usage.url", fault, "name a local file"))


def check_parent(path: str, output: str) -> None:
    """Raise `StorageError` if the directory of the real `path` does not exist. Messages call the path `output`."""
    parent = os.path.dirname(path)
    if paths.is_there(parent) and not paths.is_directory(parent):
        raise StorageError(Problem("output.parent", f"{shown(output)}: {shown(parent)} is not a directory"))
    if not paths.is_directory(parent):
        message = f"{shown(output)}: the directory {shown(parent)} does not exist"
        hint = about_home(output) or did_you_mean_url(output) or "create it first"
        raise StorageError(Problem("output.parent", message, hint))
