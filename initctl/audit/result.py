"""A checkpoint that came of another, read as that was: at its root, and with what belongs to it."""

from __future__ import annotations

import os
from collections.abc import Callable

from initctl.formats import Checkpoint, beside, read_checkpoint, with_beside
from initctl.planning.documents import read_alike, tensors_digest


def read_result(path: str, original: Checkpoint) -> Checkpoint:
    """The checkpoint at `path`, written from `original`, with the same optimizer files beside its weights."""
    wanted = tensors_digest(original)
    result = read_like(path, original.root, original.component, tensors_digest, wanted)
    return with_beside(result, [one for one in beside(result) if one.name in original.beside])


def read_like(
    path: str, root: str, component: str, digest_of: Callable[[Checkpoint], object], wanted: object
) -> Checkpoint:
    """The checkpoint at `path`, at whatever of the likely roots `digest_of` it is the `wanted` one; else at its own.

    A directory is read at its `component`. Raises `InputError`.
    """
    folder = component if os.path.isdir(path) else ""

    def read(root: str | None) -> Checkpoint:
        return read_checkpoint(path, root=root, component=folder or None)

    return read_alike(read, root, digest_of, wanted) or read(None)
