"""Which format a path holds: told by its content, never by its name."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from initctl.formats import remote, safetensors, sharded
from initctl.formats.files import first_bytes, read_file

if TYPE_CHECKING:
    from initctl.formats.checkpoint import Checkpoint


def read_checkpoint(path: str | os.PathLike[str], *, root: str | None = None) -> Checkpoint:
    """The table of the checkpoint at `path`: a file, an index of shards, or a directory.

    `root` are the dotted keys that lead to the state dict: by default where training frameworks put it. Raises
    `InputError`, and `UsageError` where no tensor lies at `root`.
    """
    path = os.fspath(path)
    if os.path.isdir(path):
        return sharded.read_directory(path, root)
    if not os.path.lexists(path) and (elsewhere := remote.missing(path)):
        raise elsewhere
    content = first_bytes(path)
    if content.lstrip()[:1] == b"{" and not safetensors.is_at(content):
        return sharded.read_index(path, root)
    return read_file(path, root)
