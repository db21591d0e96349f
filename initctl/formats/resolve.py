"""Which format a path holds: told by its content, never by its name."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from initctl.formats import safetensors, sharded
from initctl.formats.opening import open_regular

if TYPE_CHECKING:
    from initctl.formats.checkpoint import Checkpoint


def read_checkpoint(path: str | os.PathLike[str]) -> Checkpoint:
    """The table of the checkpoint at `path`: a file, an index of shards, or a directory. Raises `InputError`."""
    path = os.fspath(path)
    if os.path.isdir(path):
        return sharded.read_directory(path)
    content = _first_bytes(path)
    if content.lstrip()[:1] == b"{" and not safetensors.is_at(content):
        return sharded.read_index(path)
    return safetensors.read_file(path)


def _first_bytes(path: str) -> bytes:
    descriptor, _ = open_regular(path)
    try:
        return os.read(descriptor, safetensors.SNIFFED)
    finally:
        os.close(descriptor)
