"""A process's share of a tensor that is flattened, and cut without regard to its rows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import torch

from initctl.layout.runs import boxes
from initctl.live.piece import Piece

if TYPE_CHECKING:
    from initctl.tensors import Shape


class FlatShare(NamedTuple):
    """The elements of a tensor of `shape` from number `start`, in the vector `memory`.

    They are numbered as they were in the tensor's memory: in row-major order if its dims are put in this `order`.
    """

    shape: Shape
    order: tuple[int, ...]
    start: int
    memory: torch.Tensor

    @property
    def dtype(self) -> torch.dtype:
        return self.memory.dtype

    @property
    def pieces(self) -> Iterator[Piece]:
        """Its rectangles: fewer than two for each dim."""
        if not self.memory.numel():
            return
        reached, back = 0, [self.order.index(dim) for dim in range(len(self.order))]
        shape = tuple(self.shape[dim] for dim in self.order)
        for start, sizes in boxes(shape, self.start, self.start + self.memory.numel()):
            end = reached + torch.Size(sizes).numel()
            memory = self.memory[reached:end].view(sizes).permute(back)
            yield Piece(memory, tuple(start[dim] for dim in back))
            reached = end
