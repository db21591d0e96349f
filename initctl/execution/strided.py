"""Blocks whose elements lie in another order than the tensor's, or with gaps, a tile at a time."""

from __future__ import annotations

from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING

import numpy as np

from initctl.commit import write_all
from initctl.execution.pieces import kept_pieces
from initctl.filling.order import TileOrder
from initctl.filling.runs import runs, tiles
from initctl.tensors import row_major

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from initctl.execution.pieces import KeptPiece
    from initctl.filling import Filler, Target
    from initctl.stream import Law
    from initctl.tensors import Block, TensorSpec

TILE = 4 << 20
"""Bytes of a tile: runs of a thousand elements or so either way."""


@dataclass(frozen=True, slots=True)
class StridedPiece:
    """A tile, filled by `fill`. What lies between its elements, maybe those of another tile, is written back as it is:
    only while no other tile is written.
    """

    target: Target
    law: Law
    filler: Filler
    alone: Lock

    @property
    def offset(self) -> int:
        return self.target.block.offset

    @property
    def nbytes(self) -> int:
        return self.target.nbytes

    def write(self, destination: int) -> None:
        order = TileOrder.of(self.target.block, self.target.width)
        content = order.as_in_file(self.filler.values(self.target, self.law))
        for span in order.spans:
            with self.alone:
                write_all(destination, span.filled(content, destination).data, span.start)


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
        order = TileOrder.of(self.tile.distinct, self.width)
        content = np.concatenate([span.picked(self.source) for span in order.spans])
        values = order.as_in_tensor(content, self.tile.shape)
        in_memory = self.tile._replace(offset=0, strides=row_major(self.tile.shape))
        for run in runs(in_memory, self.tensor.shape, self.width):
            data = values[run.offset : run.offset + run.numel * self.width].data
            write_all(destination, data, self.begin + run.start * self.width)


def strided_pieces(fillings: Iterable[tuple[Target, Law]], filler: Filler) -> Iterator[StridedPiece]:
    """Pieces that fill blocks whose elements lie in any order. No other writer may be at work in the file."""
    alone = Lock()
    for target, law in fillings:
        for tile in tiles(target.block, target.width, TILE):
            yield StridedPiece(target._replace(block=tile), law, filler, alone)


def gathered_pieces(tensor: TensorSpec, block: Block, source: int, begin: int) -> Iterator[KeptPiece | GatheredPiece]:
    """Pieces that bring a block of `tensor`, read from `source`, to where the tensor begins at byte `begin`."""
    if tensor.dtype.bits % 8:  # as safetensors has them: in one piece
        yield from kept_pieces(source, [(block.offset, block.offset + tensor.nbytes)], begin - block.offset)
        return
    width = tensor.dtype.bits // 8
    if block.is_row_major and block.shape[1:] == tensor.shape[1:]:
        for run in runs(block, tensor.shape, width):
            shift = begin + run.start * width - run.offset
            yield from kept_pieces(source, [(run.offset, run.offset + run.numel * width)], shift)
    else:
        for tile in tiles(block, width, TILE):
            yield GatheredPiece(tensor, tile, source, begin)
