"""Blocks whose elements lie in another order than the tensor's, or with gaps, a tile at a time."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import reduce
from typing import TYPE_CHECKING, Self

import numpy as np

from initctl.commit import read_some, write_all
from initctl.execution.pieces import kept_pieces, spans
from initctl.execution.runs import runs, tiles
from initctl.tensors import row_major

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

    from initctl.execution.content import Target
    from initctl.execution.pieces import Filler, KeptPiece
    from initctl.stream import Fill
    from initctl.tensors import Block, Shape, TensorSpec

_TILE = 1 << 20
"""Bytes of a tile: runs of some hundreds of elements either way."""


@dataclass(frozen=True, slots=True)
class StridedPiece:
    """A tile, filled by `fill`."""

    target: Target
    fill: Fill
    filler: Filler

    @property
    def offset(self) -> int:
        return self.target.block.offset

    @property
    def nbytes(self) -> int:
        return self.target.nbytes

    def write(self, destination: int) -> None:
        tile = self.target.block
        values = np.empty(self.nbytes, np.uint8)
        in_memory = replace(tile, offset=0, strides=row_major(tile.shape))
        for offset, data in self.filler.parts(tuple(spans(self.target._replace(block=in_memory), self.fill))):
            values[offset : offset + len(data)] = data
        order = _Order.of(tile, self.target.width)
        content = order.as_in_file(values)
        for number, offset in enumerate(order.offsets):
            write_all(destination, content[number * order.length : (number + 1) * order.length].data, offset)


@dataclass(frozen=True, slots=True)
class GatheredPiece:
    """A tile of `tensor` in the descriptor `source`, brought to the tensor's order from byte `begin` on."""

    tensor: TensorSpec
    tile: Block
    source: int
    begin: int

    @property
    def offset(self) -> int:
        return self.begin

    @property
    def nbytes(self) -> int:
        return self.tile.numel * self.width

    @property
    def width(self) -> int:
        """Bytes of an element."""
        return self.tensor.dtype.bits // 8

    def write(self, destination: int) -> None:
        order = _Order.of(self.tile.distinct, self.width)
        content = np.empty(self.tile.distinct.numel * self.width, np.uint8)
        for number, offset in enumerate(order.offsets):
            _read_into(content[number * order.length : (number + 1) * order.length], self.source, offset)
        values = order.as_in_tensor(content, self.tile.shape)
        in_memory = replace(self.tile, offset=0, strides=row_major(self.tile.shape))
        for run in runs(in_memory, self.tensor.shape, self.width):
            data = values[run.offset : run.offset + run.numel * self.width].data
            write_all(destination, data, self.begin + run.start * self.width)


def strided_pieces(fillings: Iterable[tuple[Target, Fill]], filler: Filler) -> Iterator[StridedPiece]:
    """Pieces that fill blocks whose elements lie in any order."""
    for target, fill in fillings:
        for tile in tiles(target.block, target.width, _TILE):
            yield StridedPiece(target._replace(block=tile), fill, filler)


def gathered_pieces(tensor: TensorSpec, block: Block, source: int, begin: int) -> Iterator[KeptPiece | GatheredPiece]:
    """Pieces that bring a block of `tensor`, read from `source`, to where the tensor begins at byte `begin`."""
    if block.is_row_major and block.shape == tensor.shape:
        yield from kept_pieces(source, [(block.offset, block.offset + tensor.nbytes)], begin - block.offset)
    else:
        for tile in tiles(block, tensor.dtype.bits // 8, _TILE):
            yield GatheredPiece(tensor, tile, source, begin)


@dataclass(frozen=True, slots=True)
class _Order:
    """How the elements of a tile lie in its file: in runs of `length` bytes, which begin at `offsets`."""

    shape: Shape
    dims: list[int]
    offsets: list[int]
    length: int
    width: int

    @classmethod
    def of(cls, tile: Block, width: int) -> Self:
        dims = [dim for dim, size in enumerate(tile.shape) if size > 1]
        dims.sort(key=lambda dim: -tile.strides[dim])
        sizes, strides = ([of[dim] for dim in dims] for of in (tile.shape, tile.strides))
        count = 1
        while sizes and strides[-1] == count:
            count *= sizes.pop()
            strides.pop()
        steps = (np.arange(size) * (stride * width) for size, stride in zip(sizes, strides, strict=True))
        starts = reduce(np.add.outer, steps, np.array(tile.offset))
        return cls(tile.shape, dims, starts.reshape(-1).tolist(), count * width, width)

    def as_in_file(self, values: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The elements of a tile in row-major order, in the file's."""
        elements = values.view(self._element).reshape([size for size in self.shape if size > 1])
        return np.ascontiguousarray(elements.transpose(self._axes)).view(np.uint8).reshape(-1)

    def as_in_tensor(self, content: NDArray[np.uint8], shape: Shape) -> NDArray[np.uint8]:
        """The elements in the file's order, in row-major order, repeated where `shape` is larger than the tile."""
        elements = content.view(self._element).reshape([self.shape[dim] for dim in self.dims])
        restored = elements.transpose(np.argsort(self._axes)).reshape(self.shape)
        return np.ascontiguousarray(np.broadcast_to(restored, shape)).view(np.uint8).reshape(-1)

    @property
    def _element(self) -> np.dtype[np.void]:
        return np.dtype((np.void, self.width))

    @property
    def _axes(self) -> list[int]:
        """The dims of more than one element in the file's order, numbered among themselves."""
        kept = sorted(self.dims)
        return [kept.index(dim) for dim in self.dims]


def _read_into(out: NDArray[np.uint8], source: int, offset: int) -> None:
    reached = 0
    while reached < out.size:
        data = read_some(source, offset + reached, offset + out.size)
        out[reached : reached + len(data)] = np.frombuffer(data, np.uint8)
        reached += len(data)
