"""A file's content as tasks: ranges to copy, and elements of tensors to fill or to move. They can run in any order,
except that a strided block comes after the kept ranges between its elements.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from threading import Lock
from typing import TYPE_CHECKING

from initctl.commit import effects
from initctl.commit.copying import copy_range, write_all, write_over_zeros
from initctl.filling.targets import ElementRun, TargetBlock, packed, range_of
from initctl.layout.order import TileOrder
from initctl.layout.ranges import ByteRange, common
from initctl.layout.runs import runs, tiles
from initctl.reading import read_array, read_tile
from initctl.tensors import Block, Shape, TensorPart, TensorSpec, row_major
from initctl.workers import Task

if TYPE_CHECKING:
    from initctl.checksums import Sums
    from initctl.filling.computer import Computer

COPIED_AT_ONCE = 16 << 20
"""Bytes of a kept range that make one task."""
FILLED_AT_ONCE = 4 << 20
"""Bytes of tensors that make one task. Its engine decides in how many parts they are computed and written."""
TILE = 4 << 20
"""Bytes of a tile of a block whose elements have gaps, or another order than the tensor's. Runs are of about a thousand
elements in both orders.
"""
_WRITTEN_BACK = 1 << 20
"""A task that wrote at least as many bytes starts sending them to the disk."""


def copy_tasks(source: int, ranges: Iterable[ByteRange], destination: int, shift: int = 0) -> Iterator[Task]:
    """Tasks that copy `ranges` of the descriptor `source` to `destination`; `shift` is added to their offsets."""
    for start, stop in ranges:
        for first in range(start, stop, COPIED_AT_ONCE):
            last, offset = min(first + COPIED_AT_ONCE, stop), first + shift
            yield Task(last - first, partial(_copy, source, destination, first, last, offset), offset)


def fill_tasks(
    targets: Iterable[TargetBlock],
    computer: Computer,
    destination: int,
    sums: Sums | None = None,
    *,
    over_zeros: bool = False,
) -> Iterator[Task]:
    """Tasks that fill row-major blocks, in order of their offsets. Small blocks are put together, large ones are cut.

    The tasks add what they write to `sums`, if those are given. With `over_zeros`, unwritten bytes of the file are
    zeros.
    """
    ordered = sorted(targets, key=lambda target: target.block.offset)
    for group in packed(computer.runs(ordered), FILLED_AT_ONCE):
        start, stop = range_of(group)
        yield Task(stop - start, partial(_fill, group, computer, destination, sums, over_zeros), start)


def strided_tasks(targets: Iterable[TargetBlock], computer: Computer, destination: int) -> Iterator[Task]:
    """Tasks that fill blocks whose elements are in any order. Nothing else may write to the file meanwhile."""
    alone = Lock()
    for target in targets:
        for block in tiles(target.block, target.width, TILE):
            tile = target._replace(block=block)
            yield Task(tile.nbytes, partial(_fill_tile, tile, computer, destination, alone))


def gather_tasks(
    tensor: TensorSpec, block: Block, source: int, destination: int, begin: int, window: ByteRange | None = None
) -> Iterator[Task]:
    """Tasks that copy a block of `tensor` from `source` to `destination`, where the tensor begins at byte `begin`.

    If a `window` is given, only bytes in it are written. It must contain the whole tensor unless that `is_sequential`.
    """
    if tensor.dtype.bits % 8:  # only safetensors has such dtypes, and stores each tensor in one piece
        whole = ByteRange(block.offset, block.offset + tensor.nbytes)
        yield from copy_tasks(source, _inside([whole], begin - block.offset, window), destination, begin - block.offset)
        return
    width = tensor.dtype.bits // 8
    if _has_whole_rows(block, tensor):
        for run in runs(block, tensor.shape, width):
            shift = begin + run.start * width - run.offset
            part = ByteRange(run.offset, run.offset + run.numel * width)
            yield from copy_tasks(source, _inside([part], shift, window), destination, shift)
    else:
        for tile in tiles(block, width, TILE):
            gather = partial(_gather, tile, tensor.shape, width, source, destination, begin)
            yield Task(tile.numel * width, gather, begin)


def is_sequential(part: TensorPart) -> bool:
    """Whether `gather_tasks` copies ranges of `part`, which can be cut anywhere."""
    return bool(part.tensor.dtype.bits % 8) or all(_has_whole_rows(block, part.tensor) for block in part.blocks)


def _has_whole_rows(block: Block, tensor: TensorSpec) -> bool:
    return block.is_row_major and block.shape[1:] == tensor.shape[1:]


def _inside(ranges: Sequence[ByteRange], shift: int, window: ByteRange | None) -> Sequence[ByteRange]:
    """What of `ranges` is copied into `window`, if `shift` is added to their offsets."""
    if window is None:
        return ranges
    return common(ranges, [ByteRange(window.start - shift, window.stop - shift)])


def _copy(source: int, destination: int, start: int, stop: int, offset: int) -> None:
    copy_range(source, destination, start, stop, offset)
    _write_back(destination, offset, offset + stop - start)


def _fill(
    group: Sequence[ElementRun],
    computer: Computer,
    destination: int,
    sums: Sums | None,
    over_zeros: bool,  # noqa: FBT001 - given through `partial`
) -> None:
    """Compute adjacent runs of one or more tensors, and write them."""
    for part, content in computer.parts(group):
        if over_zeros:
            write_over_zeros(destination, content, part[0].offset)
        else:
            write_all(destination, content.data, part[0].offset)
        if sums is not None:
            sums.add(part[0].offset, content.data)
    _write_back(destination, *range_of(group))


def _fill_tile(tile: TargetBlock, computer: Computer, destination: int, alone: Lock) -> None:
    """Fill a tile while no other task writes: bytes between its elements, which may be another tile's, are written back
    unchanged.
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
    """Copy a tile of a tensor of `shape`, in the tensor's order."""
    values = read_tile(source, tile, width)
    in_memory = tile._replace(offset=0, strides=row_major(tile.shape))
    for start, numel, reached in runs(in_memory, shape, width):
        data = values[reached : reached + numel * width].data
        write_all(destination, data, begin + start * width)


def _write_back(destination: int, start: int, stop: int) -> None:
    if stop - start >= _WRITTEN_BACK:
        effects.start_flush(destination, start, stop)
