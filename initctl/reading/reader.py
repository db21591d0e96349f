"""What tensors of a checkpoint hold, by element index, wherever their elements are in files."""

from __future__ import annotations

import os
from contextlib import contextmanager
from math import prod
from threading import Lock
from typing import TYPE_CHECKING, Self

import numpy as np

from initctl.commit import read_into
from initctl.errors import ConflictError
from initctl.layout import boxes
from initctl.layout.order import TileOrder

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

    from initctl.formats import Checkpoint, CheckpointFile
    from initctl.layout import Box
    from initctl.tensors import Block, TensorSpec

_MOST_OPEN = 32
"""Files that stay open."""


class TensorReader:
    """Reads tensors of one checkpoint; its files are opened as they are needed, and closed at the end at the latest.

    `others` are files without tensors that are read as well. Safe to use from several threads at once.
    """

    def __init__(self, checkpoint: Checkpoint, others: Iterable[CheckpointFile] = ()) -> None:
        self.checkpoint = checkpoint
        self._files = {file.name: file for file in (*checkpoint.files, *others)}
        self._descriptors: dict[str, int] = {}
        self._lock = Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for descriptor in self._descriptors.values():
            os.close(descriptor)
        self._descriptors.clear()

    def read(self, tensor: TensorSpec, start: int, stop: int) -> NDArray[np.uint8]:
        """The bytes of the elements from number `start` to `stop` of `tensor`, in row-major order.

        Raises `ConflictError` if a file changed, `StorageError` if it cannot be read.
        """
        width = tensor.dtype.bits // 8
        if start >= stop:
            return np.empty(0, np.uint8)
        if len(tensor.blocks) == 1 and tensor.blocks[0].is_row_major:
            (block,) = tensor.blocks
            return self.bytes_of(block.file, block.offset + start * width, block.offset + stop * width)
        found = np.empty((stop - start) * width, np.uint8)
        reached = 0
        for box in boxes(tensor.shape, start, stop):
            nbytes = prod(box.shape) * width
            self._gather(tensor, box, found[reached : reached + nbytes])
            reached += nbytes
        return found

    def _gather(self, tensor: TensorSpec, box: Box, out: NDArray[np.uint8]) -> None:
        """Put the elements of a `box` together from the blocks that hold them."""
        width = tensor.dtype.bits // 8
        elements = out.reshape(*box.shape, width)
        for block in tensor.blocks:
            part = block
            places = []
            for dim, (start, size) in enumerate(zip(box.start, box.shape, strict=True)):
                first = max(start, block.start[dim])
                last = max(first, min(start + size, block.start[dim] + block.shape[dim]))
                part = part.part(dim, first - block.start[dim], last - block.start[dim], width)
                places.append(slice(first - start, last - start))
            if part.numel:
                with self.opened(block.file) as descriptor:
                    elements[tuple(places)] = read_tile(descriptor, part, width).reshape(*part.shape, width)

    def bytes_of(self, file: str, start: int, stop: int) -> NDArray[np.uint8]:
        """The bytes of a file that holds tensors, from number `start` to `stop`. Raises what `read` does."""
        with self.opened(file) as descriptor:
            return read_array(descriptor, start, stop)

    @contextmanager
    def opened(self, file: str) -> Iterator[int]:
        """A descriptor of a file. The first ones stay open; a process may have only so many.

        Raises `ConflictError` if the file changed.
        """
        with self._lock:
            if file not in self._descriptors and len(self._descriptors) < _MOST_OPEN:
                self._descriptors[file] = self.checkpoint.open(self._files[file])
            kept = self._descriptors.get(file)
        descriptor = self.checkpoint.open(self._files[file]) if kept is None else kept
        try:
            yield descriptor
        except ConflictError:
            raise self.checkpoint.changed(self._files[file]) from None
        finally:
            if kept is None:
                os.close(descriptor)


def read_array(descriptor: int, start: int, stop: int) -> NDArray[np.uint8]:
    """The bytes of a file from `start` to `stop`. Raises what `read_into` does."""
    content = np.empty(stop - start, np.uint8)
    read_into(descriptor, content.data, start)
    return content


def read_tile(descriptor: int, tile: Block, width: int) -> NDArray[np.uint8]:
    """The bytes of the elements of a `tile`, each of `width` bytes, in row-major order."""
    order = TileOrder.of(tile.distinct, width)
    content = [near.picked(read_array(descriptor, near.start, near.stop)) for near in order.near_runs]
    return order.as_in_tensor(np.concatenate(content), tile.shape)
