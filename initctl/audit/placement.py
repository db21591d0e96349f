"""Where a result holds the tensors of the checkpoint that it came of."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple

from initctl.audit.verification import Lost
from initctl.errors import shown

if TYPE_CHECKING:
    from collections.abc import Mapping

    from initctl.formats import Checkpoint
    from initctl.tensors import TensorSpec


class Placement(NamedTuple):
    """Where each tensor of the source is `held`, by its name and blocks; and what is `lost`."""

    held: Mapping[object, tuple[TensorSpec, ...]]
    lost: tuple[Lost, ...] = ()

    def find(self, tensor: TensorSpec) -> tuple[TensorSpec, ...]:
        """Where it is, under its own name first; those that it was tied to may be apart."""
        return self.held.get(_key(tensor), ())


def by_place(source: Checkpoint, result: Checkpoint) -> Placement:
    """In the same places of the same files, as `apply` leaves all that it does not convert."""
    before, after = ((*table.tensors, *table.outside) for table in (source, result))
    return Placement({_key(was): (now,) for was, now in zip(before, after, strict=True)})


def by_name(source: Checkpoint, result: Checkpoint, *, is_converted: bool) -> Placement:
    """Wherever tensors of the same names are: as many as there were, and no more. A name that a file only notes counts.

    If the result `is_converted`, it has none of those outside of the root.
    """
    inside = {alias: tensor for tensor in result.tensors for alias in tensor.aliases}
    inside |= {tensor.name: tensor for tensor in result.tensors}
    outside = {tensor.name: tensor for tensor in result.outside}
    wanted = {name: tensor for tensor in source.tensors for name in (tensor.name, *tensor.aliases)}
    found = [(name, tensor, inside.get(name)) for name, tensor in wanted.items()]
    if not is_converted:
        found += [(tensor.name, tensor, outside.get(tensor.name)) for tensor in source.outside]
    held: dict[object, tuple[TensorSpec, ...]] = defaultdict(tuple)
    lost = []
    for name, tensor, there in found:
        if there and (there.dtype, there.shape) == (tensor.dtype, tensor.shape):
            held[_key(tensor)] += (there,)
        else:
            lost.append(Lost(name, _fault(tensor, there)))
    added = (Lost(name, "was not there") for name in inside if name not in wanted)
    return Placement(held, (*lost, *added))


def _key(tensor: TensorSpec) -> object:
    """What tells `tensor` apart from the others of its checkpoint, in an optimizer's table too."""
    return tensor.name, tensor.blocks


def _fault(tensor: TensorSpec, there: TensorSpec | None) -> str:
    if there is None:
        return "is not there"
    was, now = (f"{list(t.shape)} {shown(t.dtype.name)}" for t in (tensor, there))
    return f"is {now}, and was {was}"
