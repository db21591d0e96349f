"""Blocks whose elements are in another order than the tensor's, or with gaps, a tile at a time."""

from __future__ import annotations

from functools import partial
from threading import Lock
from typing import TYPE_CHECKING

from initctl.commit import write_all
from initctl.execution.tasks import copy_tasks
from initctl.layout import ByteRange, runs, tiles
from initctl.layout.order import TileOrder
from initctl.reading import read_array, read_tile
from initctl.tensors import row_major
from initctl.workers import Task

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from initctl.filling import Computer, TargetBlock
    from initctl.tensors import Block, Shape, TensorSpec

TILE = 4 << 20
"""Bytes of a tile: runs of a thousand elements or so either way."""


def strided_tasks(targets: Iterable[TargetBlock], computer: Computer, destination: int) -> Iterator[Task]:
    """Tasks that fill blocks whose elements are in any order. No other writer may be at work in the file."""
    alone = Lock()
    for target in targets:
        for block in tiles(target.block, target.width, TILE):
            tile = target._replace(block=block)
            yield Task(tile.nbytes, partial(_fill_tile, tile, computer, destination, alone))


def gather_tasks(tensor: TensorSpec, block: Block, source: int, destination: int, begin: int) -> Iterator[Task]:
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
            gather = partial(_gather, tile, tensor.shape, width, source, destination, begin)
            yield Task(tile.numel * width, gather, begin)


def _fill_tile(tile: TargetBlock, computer: Computer, destination: int, alone: Lock) -> None:
    """Fill a tile. What is between its elements, maybe those of another tile, is written back as it is: only while no
    other tile is written.
    """
    order = TileOrder.of(tile.block, tile.width)
    content = order.as_in_file(computer.values(tile))
    for near in order.near_runs:
        with alone:
            data = near.of(content)
            if near.has_gaps:
                data = read_array(destination, near.start, near.stop)
                near.put(content, data)
            write_all(destination, data.data, near.start)


def _gather(tile: Block, shape: Shape, width: int, source: int, destination: int, begin: int) -> None:
    """Bring a tile of a tensor of `shape` to the tensor's order."""
    values = read_tile(source, tile, width)
    in_memory = tile._replace(offset=0, strides=row_major(tile.shape))
    for start, numel, reached in runs(in_memory, shape, width):
        data = values[reached : reached + numel * width].data
        write_all(destination, data, begin + start * width)
