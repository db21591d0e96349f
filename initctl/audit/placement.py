"""Where a result holds the tensors of the checkpoint that it came of."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from initctl.audit.differences import Lost
from initctl.errors import shown

if TYPE_CHECKING:
    from initctl.formats import Checkpoint
    from initctl.tensors import TensorSpec


class ByPlace:
    """In the same places of the same files, as `apply` leaves all that it does not convert."""

    lost: tuple[Lost, ...] = ()

    def __init__(self, source: Checkpoint, result: Checkpoint) -> None:
        self.files = {was.name: now for was, now in zip(source.files, result.files, strict=True)}

    def find(self, tensor: TensorSpec) -> TensorSpec:
        return replace(tensor, blocks=tuple(replace(b, file=self.files[b.file].name) for b in tensor.blocks))


class ByName:
    """Wherever tensors of the same names lie: as many as there were, and no more.

    Where the result `is_converted`, it has none of those outside of the root.
    """

    def __init__(self, source: Checkpoint, result: Checkpoint, *, is_converted: bool) -> None:
        aliases = {alias: tensor for tensor in result.tensors for alias in tensor.aliases}
        self._inside = aliases | {tensor.name: tensor for tensor in result.tensors}
        self._outside = {tensor.name: tensor for tensor in result.outside}
        self._reached = {id(tensor) for tensor in source.tensors}
        known = {name for tensor in source.tensors for name in (tensor.name, *tensor.aliases)}
        named = [*source.tensors, *(() if is_converted else source.outside)]
        faults = ((tensor.name, self._fault(tensor)) for tensor in named)
        self.lost = (
            *(Lost(name, fault) for name, fault in faults if fault),
            *(Lost(name, "was not there") for name in self._inside if name not in known),
        )

    def find(self, tensor: TensorSpec) -> TensorSpec | None:
        return None if self._fault(tensor) else self._there(tensor)

    def _there(self, tensor: TensorSpec) -> TensorSpec | None:
        return (self._inside if id(tensor) in self._reached else self._outside).get(tensor.name)

    def _fault(self, tensor: TensorSpec) -> str | None:
        there = self._there(tensor)
        if there is None:
            return "is not there"
        if (there.dtype, there.shape) != (tensor.dtype, tensor.shape):
            was, now = (f"{list(t.shape)} {shown(t.dtype.name)}" for t in (tensor, there))
            return f"is {now}, and was {was}"
        return None
