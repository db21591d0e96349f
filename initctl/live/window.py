"""A tensor of a file that is a part of a parameter in memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from initctl.live.piece import Piece, Unfillable
from initctl.tensors import row_major

if TYPE_CHECKING:
    import torch

    from initctl.live.flat_share import FlatShare
    from initctl.tensors import Shape


class Window(NamedTuple):
    """Some elements of `parameter`, as a tensor of `shape`: its first element is number `offset` of the parameter in
    row-major order, and neighbors along each dim are `strides` elements apart.
    """

    parameter: torch.Tensor | FlatShare | Window
    shape: Shape
    strides: Shape
    offset: int

    @property
    def dtype(self) -> torch.dtype:
        return self.parameter.dtype

    def within(self, piece: Piece) -> Iterator[Piece]:
        """Its part in a piece of the parameter, or none. Raises `Unfillable` if that is not a rectangle."""
        whole = tuple(self.parameter.shape)
        memory = piece.memory
        if tuple(memory.shape) == whole and memory.is_contiguous():
            place = int(memory.storage_offset()) + self.offset
            yield Piece(memory.as_strided(self.shape, self.strides, place), (0,) * len(self.shape))
            return
        dims, starts = self._dims(whole), _index(self.offset, whole)
        found: list[int] = []
        for dim, (first, reached) in enumerate(zip(starts, piece.start, strict=True)):
            size = self.shape[dims.index(dim)] if dim in dims else 1
            begin, end = max(first, reached), min(first + size, reached + memory.shape[dim])
            if begin >= end:
                return
            memory = memory.narrow(dim, begin - reached, end - begin)
            found.append(begin - first)
        order = [dim for dim in dims if dim is not None]
        rest = [dim for dim in range(memory.ndim) if dim not in order]
        memory = memory.permute(*rest, *order)[(0,) * len(rest)]
        for place, along in enumerate(dims):
            memory = memory.unsqueeze(place) if along is None else memory
        yield Piece(memory, tuple(0 if along is None else found[along] for along in dims))

    def _dims(self, whole: Shape) -> list[int | None]:
        """The dim of the parameter of shape `whole` that each dim goes along; None for a dim with one index."""
        along = {stride: dim for dim, stride in enumerate(row_major(whole)) if whole[dim] > 1}
        dims: list[int | None] = []
        for size, stride in zip(self.shape, self.strides, strict=True):
            dim = along.get(stride)
            if size > 1 and (dim is None or size > whole[dim]):
                raise Unfillable("transformers saves it in another shape, and it is not in one piece in memory")
            dims.append(dim if size > 1 else None)
        return dims


def _index(number: int, shape: Shape) -> Shape:
    """The index of element `number`, in row-major order, of a tensor of `shape`."""
    index = []
    for stride in row_major(shape):
        place, number = divmod(number, stride)
        index.append(place)
    return tuple(index)
