"""Read a checkpoint in the same way as the one that it was made from: at the same root, with the same other files."""

from __future__ import annotations

from collections.abc import Callable

from initctl.formats import Checkpoint, beside, is_directory, read_checkpoint, with_beside
from initctl.planning.documents import read_alike, tensors_digest


def read_result(path: str, original: Checkpoint) -> Checkpoint:
    """The checkpoint at `path`, written from `original`, with the same optimizer files beside its weights."""
    wanted = tensors_digest(original)
    result = read_like(path, original.root, original.component, tensors_digest, wanted)
    return with_beside(result, [one for one in beside(result) if one.name in original.beside])


def read_like(
    path: str, root: str, component: str, digest_of: Callable[[Checkpoint], object], wanted: object
) -> Checkpoint:
    """The checkpoint at `path`, read at the likely root at which `digest_of` gives `wanted`; or else at its own root.

    If it is a directory, its `component` is read. Raises `InputError`.
    """
    folder = component if component and is_directory(path) else None

    def read(root: str | None) -> Checkpoint:
        return read_checkpoint(path, root=root, component=folder)

    return read_alike(read, root, digest_of, wanted) or read(None)
