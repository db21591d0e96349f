"""Blocks whose elements are in another order than the tensor's, or with gaps, a tile at a time."""

from __future__ import annotations

from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING

from initctl.commit import write_all
from initctl.execution.tasks import copy_tasks
from initctl.layout import ByteRange, runs, tiles
from initctl.layout.order import TileOrder
from initctl.reading import read_array, read_tile
from initctl.tensors import row_major

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from initctl.execution.tasks import CopyTask
    from initctl.filling import Computer, TargetBlock
    from initctl.tensors import Block, TensorSpec

TILE = 4 << 20
"""Bytes of a tile: runs of a thousand elements or so either way."""


@dataclass(frozen=True, slots=True)
class StridedTask:
    """Fills a tile. What is between its elements, maybe those of another tile, is written back as it is: only while no
    other tile is written.
    """

    target: TargetBlock
    computer: Computer
    destination: int
    alone: Lock

    @property
    def nbytes(self) -> int:
        return self.target.nbytes

    def run(self) -> None:
        order = TileOrder.of(self.target.block, self.target.width)
        content = order.as_in_file(self.computer.values(self.target))
        for near in order.near_runs:
            with self.alone:
                data = near.of(content)
                if near.has_gaps:
                    data = read_array(self.destination, near.start, near.stop)
                    near.put(content, data)
                write_all(self.destination, data.data, near.start)


@dataclass(frozen=True, slots=True)
class GatherTask:
    """Brings a tile of `tensor` in the descriptor `source` to the tensor's order, from byte `offset` of
    `destination` on.
    """

    tensor: TensorSpec
    tile: Block
    source: int
    destination: int
    offset: int

    @property
    def nbytes(self) -> int:
        return self.tile.numel * self.tensor.dtype.bits // 8

    def run(self) -> None:
        width = self.tensor.dtype.bits // 8
        values = read_tile(self.source, self.tile, width)
        in_memory = self.tile._replace(offset=0, strides=row_major(self.tile.shape))
        for start, numel, reached in runs(in_memory, self.tensor.shape, width):
            data = values[reached : reached + numel * width].data
            write_all(self.destination, data, self.offset + start * width)


def strided_tasks(targets: Iterable[TargetBlock], computer: Computer, destination: int) -> Iterator[StridedTask]:
    """Tasks that fill blocks whose elements are in any order. No other writer may be at work in the file."""
    alone = Lock()
    for target in targets:
        for tile in tiles(target.block, target.width, TILE):
            yield StridedTask(target._replace(block=tile), computer, destination, alone)


def gather_tasks(
    tensor: TensorSpec, block: Block, source: int, destination: int, begin: int
) -> Iterator[CopyTask | GatherTask]:
    """Tasks that bring a block of `tensor`, read from `source`, to where the tensor begins at byte `begin`."""
    if tensor.dtype.bits % 8:  # as safetensors has them: in one piece
        whole = ByteRange(block.offset, block.offset + tensor.nbytes)
        yield from copy_tasks(source, [whole], destination, begin - block.offset)
        return
    width = tensor.dtype.bits // 8
    if block.is_row_major and block.shape[1:] == tensor.shape[1:]:
        for run in runs(block, tensor.shape, width):
            shift = begin + run.start * width - run.offset
            part = ByteRange(run.offset, run.offset + run.numel * width)
            yield from copy_tasks(source, [part], destination, shift)
    else:
        for tile in tiles(block, width, TILE):
            yield GatherTask(tensor, tile, source, destination, begin)
