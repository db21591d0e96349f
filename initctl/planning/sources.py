"""Other tensors that one is filled from: found by name, in this checkpoint or in another."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from initctl.errors import shown
from initctl.initializers import Unfit
from initctl.planning.near_misses import nearest_names
from initctl.stream import RevisingLaw

if TYPE_CHECKING:
    from collections.abc import Mapping

    from initctl.formats import Checkpoint
    from initctl.initializers.revising import Copied
    from initctl.planning.surroundings import Surroundings
    from initctl.stream import AnyLaw, Source
    from initctl.tensors import TensorSpec


class Located(NamedTuple):
    """A tensor, and the checkpoint that holds it."""

    checkpoint: Checkpoint
    tensor: TensorSpec


def located_sources(law: AnyLaw, tensor: TensorSpec, around: Surroundings) -> Mapping[Source, Located]:
    """Where the tensors are that `law` reads besides `tensor` itself. Raises `Unfit` if one is not there, or is not of
    the shape that it takes.
    """
    if not isinstance(law, RevisingLaw):
        return {}
    from initctl.initializers.revising import Copied

    found = {source: _located(source, around) for source in law.sources}
    if isinstance(law, Copied):
        _check_copied(law, tensor, found[law.source].tensor)
    return found


def _located(source: Source, around: Surroundings) -> Located:
    there = around.of(source.checkpoint)
    found = there.tensors.get(source.name)
    if found is None:
        nearest = nearest_names(source.name, list(there.tensors))
        proposal = f"; did you mean {shown(nearest[0])}?" if nearest else ""
        raise Unfit(f"{shown(there.checkpoint.path)} holds no tensor {shown(source.name)}{proposal}")
    if not found.blocks or found.dtype.kind in ("packed", "quantized"):
        raise Unfit(f"the numbers of {shown(source.name)} cannot be read: {found.unwritable or found.dtype.name}")
    return Located(there.checkpoint, found)


def _check_copied(law: Copied, tensor: TensorSpec, source: TensorSpec) -> None:
    place = f"{shown(source.name)} {list(source.shape)}"
    if law.row is None and source.shape != tensor.shape:
        raise Unfit(f"{place} has another shape")
    if law.row is not None and source.shape[1:] != tensor.shape[1:]:
        raise Unfit(f"the rows of {place} have another shape")
    if law.row is not None and not (source.shape and law.row < source.shape[0]):
        raise Unfit(f"{place} has no row {law.row}")
    if tensor.dtype.is_floating != source.dtype.is_floating or tensor.dtype.parts != source.dtype.parts:
        raise Unfit(f"{place} holds {source.dtype.name}, which is another kind of number")
    if not tensor.dtype.is_floating and tensor.dtype != source.dtype:
        raise Unfit(f"{place} holds {source.dtype.name}, and would not fit exactly")
