"""The table of a checkpoint with new shapes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from initctl.reshaping.settings import changed_fields
from initctl.tensors import LARGEST_SIZE, TensorPart, TensorSpec, are_sizes

if TYPE_CHECKING:
    from initctl.formats import Checkpoint
    from initctl.tensors import Shape


class NewShape(NamedTuple):
    """A new shape, and whether rows that stay keep their values."""

    shape: Shape
    keeps_rows: bool


def reshaped(checkpoint: Checkpoint, shapes: Mapping[str, NewShape], config: Mapping[str, Any] | None) -> Checkpoint:
    """`checkpoint` with new shapes of the tensors named in `shapes`, and with this `config.json`, if it is not None: it
    has all fields of the old one.

    Rows that stay are where they were; new ones have no value. Raises `KeyError` if there is no such tensor, and
    `ValueError` if a shape is impossible.
    """
    if missing := shapes.keys() - {tensor.name for tensor in checkpoint.tensors}:
        raise KeyError(min(missing))
    tensors = tuple(_reshaped(t, shapes[t.name]) if t.name in shapes else t for t in checkpoint.tensors)
    is_incomplete = any(TensorPart(tensor).blank_rows for tensor in tensors if tensor.old)
    fields = () if config is None else tuple(changed_fields(checkpoint.config() or {}, config))
    result = checkpoint.result._replace(sized=frozenset(shapes), fields=fields)
    if fields:
        result = result._replace(config=config)
    return replace(checkpoint, tensors=tensors, incomplete=is_incomplete, result=result)


def _reshaped(tensor: TensorSpec, new: NewShape) -> TensorSpec:
    if new.shape == tensor.shape and new.keeps_rows:
        return tensor
    if not are_sizes(new.shape) or (new.keeps_rows and new.shape[1:] != tensor.shape[1:]):
        raise ValueError(f"{tensor.name}: {new.shape}")
    found = replace(tensor, shape=new.shape, blocks=(), old=tensor)
    if found.nbytes >= LARGEST_SIZE:
        raise ValueError(f"{tensor.name}: {new.shape}: is too large")
    if not new.keeps_rows:
        return found
    rows = 0, min(tensor.shape[0], new.shape[0])
    return replace(found, blocks=TensorPart(tensor, rows).blocks)
