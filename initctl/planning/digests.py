"""What tells a checkpoint's table, or just its tensors, from any other's."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from initctl.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from initctl.formats import Checkpoint
    from initctl.tensors import TensorSpec


def table_digest(checkpoint: Checkpoint) -> str:
    """Of its tensors, and where their bytes lie.

    A single file may be called otherwise.
    """
    named = checkpoint.is_directory

    def rows(tensors: Iterable[TensorSpec]) -> list[Any]:
        return [
            [
                *(tensor.name, tensor.dtype.name, tensor.shape, tensor.tied, tensor.aliases),
                [(b.file if named else "", b.offset, b.start, b.shape, b.strides) for b in tensor.blocks],
            ]
            for tensor in tensors
        ]

    tensors = [rows(tensors) for tensors in (checkpoint.tensors, checkpoint.outside, checkpoint.unlisted)]
    return digest([checkpoint.format, checkpoint.root, [file.size for file in checkpoint.files], *tensors])


def tensors_digest(checkpoint: Checkpoint) -> str:
    """Of its tensors' names, dtypes and shapes, wherever they lie."""
    rows = sorted(
        (name, tensor.dtype.name, tensor.shape)
        for tensor in checkpoint.tensors
        for name in (tensor.name, *tensor.aliases)
    )
    return digest(rows)


def read_alike(
    path: str,
    root: str,
    told: Callable[[Checkpoint], str],
    wanted: str,
    read: Callable[[str, str | None], Checkpoint],
) -> Checkpoint | None:
    """The checkpoint at `path` as one whose digest, as `told`, is the `wanted` one, if it is such.

    It is so at the `root` of another; or, if a conversion left that behind, as a whole. If the root is all, it
    may have been found rather than asked for. `read` gives the table of a checkpoint at a root.
    """
    for place in (root, "") if root else (None, ""):
        with suppress(UsageError):  # nothing lies there
            if told(found := read(path, place)) == wanted:
                return found
    return None


def digest(content: Any) -> str:  # noqa: ANN401 - whatever JSON can hold
    """Of JSON, in whatever order its keys are."""
    from hashlib import blake2b

    return blake2b(json.dumps(content, sort_keys=True).encode(), digest_size=16).hexdigest()
