"""Where a result holds the tensors of the checkpoint that it came of."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from initctl.audit.differences import Lost
from initctl.errors import shown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from initctl.formats import Checkpoint
    from initctl.tensors import TensorSpec


class ByPlace:
    """In the same places of the same files, as `apply` leaves all that it does not convert."""

    lost: tuple[Lost, ...] = ()

    def __init__(self, source: Checkpoint, result: Checkpoint) -> None:
        names = {was.name: now.name for was, now in zip(source.files, result.files, strict=True)}
        self._renamed = {was: now for was, now in names.items() if was != now}

    def find(self, tensor: TensorSpec) -> tuple[TensorSpec, ...]:
        if not self._renamed:
            return (tensor,)
        blocks = (block._replace(file=self._renamed.get(block.file, block.file)) for block in tensor.blocks)
        return (replace(tensor, blocks=tuple(blocks)),)


class ByName:
    """Wherever tensors of the same names are: as many as there were, and no more. A name that a file only notes counts.

    If the result `is_converted`, it has none of those outside of the root.
    """

    def __init__(self, source: Checkpoint, result: Checkpoint, *, is_converted: bool) -> None:
        aliases = {alias: tensor for tensor in result.tensors for alias in tensor.aliases}
        self._inside = aliases | {tensor.name: tensor for tensor in result.tensors}
        self._outside = {tensor.name: tensor for tensor in result.outside}
        self._reached = {id(tensor) for tensor in source.tensors}
        known = {name for tensor in source.tensors for name in (tensor.name, *tensor.aliases)}
        named = [*source.tensors, *(() if is_converted else source.outside)]
        faults = (
            (name, self._fault(tensor, there)) for tensor in named for name, there in self._under_all_names(tensor)
        )
        self.lost = (
            *(Lost(name, fault) for name, fault in faults if fault),
            *(Lost(name, "was not there") for name in self._inside if name not in known),
        )

    def find(self, tensor: TensorSpec) -> tuple[TensorSpec, ...]:
        """Where it is, under its own name first; those that it was tied to may be apart."""
        return tuple(
            there for _, there in self._under_all_names(tensor) if there and self._fault(tensor, there) is None
        )

    def _under_all_names(self, tensor: TensorSpec) -> Iterator[tuple[str, TensorSpec | None]]:
        is_inside = id(tensor) in self._reached
        yield tensor.name, (self._inside if is_inside else self._outside).get(tensor.name)
        for alias in tensor.aliases if is_inside else ():
            yield alias, self._inside.get(alias)

    @staticmethod
    def _fault(tensor: TensorSpec, there: TensorSpec | None) -> str | None:
        if there is None:
            return "is not there"
        if (there.dtype, there.shape) != (tensor.dtype, tensor.shape):
            was, now = (f"{list(t.shape)} {shown(t.dtype.name)}" for t in (tensor, there))
            return f"is {now}, and was {was}"
        return None
