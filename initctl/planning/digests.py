"""What tells a checkpoint's table, or just its tensors, from any other's."""

from __future__ import annotations

import json
from contextlib import suppress
from hashlib import blake2b
from typing import TYPE_CHECKING

from initctl.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from initctl.formats import Checkpoint


def table_digest(checkpoint: Checkpoint) -> str:
    """Of its tensors, and where their bytes lie.

    A single file may be called otherwise.
    """
    named = checkpoint.is_directory
    rows = [
        (
            *(tensor.name, tensor.dtype.name, tensor.shape, tensor.tied, tensor.aliases),
            [(b.file if named else "", b.offset, b.start, b.shape, b.strides) for b in tensor.blocks],
        )
        for tensor in (*checkpoint.tensors, *checkpoint.outside)
    ]
    content = [checkpoint.format, checkpoint.root, [file.size for file in checkpoint.files], rows]
    return blake2b(json.dumps(content).encode(), digest_size=16).hexdigest()


def tensors_digest(checkpoint: Checkpoint) -> str:
    """Of its tensors' names, dtypes and shapes, wherever they lie."""
    rows = sorted(
        (name, tensor.dtype.name, tensor.shape)
        for tensor in checkpoint.tensors
        for name in (tensor.name, *tensor.aliases)
    )
    return blake2b(json.dumps(rows).encode(), digest_size=16).hexdigest()


def result_at(path: str, root: str | None, digest: str, read: Callable[[str, str | None], Checkpoint]) -> Checkpoint:
    """The checkpoint at `path` that came of one whose tensors at `root` have this `digest`.

    It lies at the same root, or, where a conversion left that behind, it is all there. Where neither has the digest, it
    is what lies at `root`, if anything does, or else all. `read` gives the table of a checkpoint at a root. Raises
    `UsageError` where that has none.
    """
    found: list[Checkpoint] = []
    for place in (root, "") if root else (root,):
        with suppress(UsageError):
            found.append(read(path, place))
            if tensors_digest(found[-1]) == digest:
                return found[-1]
    return found[0] if found else read(path, root)
