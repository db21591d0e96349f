"""Where output can go: asked before any work is done for it."""

from __future__ import annotations

import os

from initctl.errors import Problem, StorageError, shown

_STREAMS = ("/dev/std", "/dev/fd/", "/proc/self/fd/")


def is_open_stream(path: str) -> bool:
    """Whether `path` is one of the process's own open files, which must not be replaced."""
    return os.path.abspath(path).startswith(_STREAMS)


def check_parent(path: str, output: str) -> None:
    """Raise `StorageError` if the real `path`, which messages call `output`, is in no directory."""
    parent = os.path.dirname(path)
    if os.path.exists(parent) and not os.path.isdir(parent):
        raise StorageError(Problem("output.parent", f"{shown(output)}: {shown(parent)} is not a directory"))
    if not os.path.isdir(parent):
        message = f"{shown(output)}: the directory {shown(parent)} does not exist"
        raise StorageError(Problem("output.parent", message, "create it first"))
