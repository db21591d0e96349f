"""What tensors hold before they are filled, as numbers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from initctl.reading.reader import TensorReader
from initctl.stream import RevisingLaw

if TYPE_CHECKING:
    from collections.abc import Mapping
    from contextlib import ExitStack

    from numpy.typing import NDArray

    from initctl.formats import Checkpoint
    from initctl.planning import Plan
    from initctl.stream import Source
    from initctl.tensors import TensorPart, TensorSpec

_NATIVE = ("integer", "bool")
"""Kinds of dtypes whose numbers are read as they are: float32 could not hold them all."""


@dataclass(frozen=True, slots=True)
class OldTensor:
    """What `tensor` holds, as numbers. `others` are tensors that it may be filled from."""

    tensor: TensorSpec
    reader: TensorReader
    others: Mapping[Source, OldTensor]

    @property
    def shape(self) -> tuple[int, ...]:
        return self.tensor.shape

    def values(self, start: int, stop: int) -> NDArray[Any]:
        """The numbers at indices `start` ≤ i < `stop`, two for each element that is complex."""
        dtype, stored = self.tensor.dtype, self.stored(start, stop)
        return stored if dtype.kind in _NATIVE or dtype.is_double else stored.astype(np.float32)

    def stored(self, start: int, stop: int) -> NDArray[Any]:
        """The same numbers in the tensor's own type."""
        dtype = self.tensor.dtype
        content = self.reader.read(self.tensor, start // dtype.parts, -(-stop // dtype.parts))
        skipped = start % dtype.parts
        return content.view(dtype.numpy)[skipped : skipped + stop - start]

    def other(self, source: Source) -> OldTensor:
        return self.others[source]


def olds(plan: Plan, stack: ExitStack) -> dict[TensorPart, OldTensor]:
    """What tensors hold that `plan` fills from that, by the parts it fills; it is read until `stack` is closed."""
    readers: dict[int, TensorReader] = {}

    def old(checkpoint: Checkpoint, tensor: TensorSpec) -> OldTensor:
        if id(checkpoint) not in readers:
            readers[id(checkpoint)] = stack.enter_context(TensorReader(checkpoint))
        return OldTensor(tensor, readers[id(checkpoint)], {})

    found: dict[TensorPart, OldTensor] = {}
    for action in plan.actions:
        if isinstance(action.law, RevisingLaw):
            others = {source: old(*place) for source, place in action.sources.items()}
            found[action.part] = replace(old(plan.checkpoint, action.tensor), others=others)
    return found
