"""The table of another checkpoint: names, dtypes, shapes, shards, metadata and other files."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from initctl.creating.template import Template
from initctl.formats import read_checkpoint
from initctl.planning.advice.left_alone import is_learned

if TYPE_CHECKING:
    from initctl.dtypes import DType


def like_checkpoint(path: str, *, root: str | None, dtype: DType | None) -> Template:
    """The checkpoint at `path`, in any format that initctl reads. No tensor is read.

    With a `dtype`, its floating-point tensors get this dtype, and have no values any more. Raises as `read_checkpoint`
    does.
    """
    table = read_checkpoint(path, root=root)
    if dtype is None:
        return Template.beside_files(table, has_layout=table.is_safetensors and not table.read_only)
    tensors = (
        replace(tensor, dtype=dtype, blocks=()) if is_learned(tensor) and tensor.dtype.kind == "float" else tensor
        for tensor in table.tensors
    )
    return Template.beside_files(replace(table, tensors=tuple(tensors), incomplete=True))
