"""What tensors of a checkpoint hold, by element index, however their elements lie in files."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from math import prod
from threading import Lock
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from initctl.filling.order import TileOrder, read_array
from initctl.filling.runs import runs
from initctl.stream import Revision
from initctl.tensors import TensorPart, row_major

if TYPE_CHECKING:
    from collections.abc import Mapping
    from contextlib import ExitStack

    from numpy.typing import NDArray

    from initctl.formats import Checkpoint
    from initctl.planning import Plan
    from initctl.stream import Source
    from initctl.tensors import Block, TensorSpec

_NATIVE = ("integer", "bool")
"""Kinds of dtypes whose numbers are read as they are: float32 could not hold them all."""


class TensorReader:
    """Reads tensors of one checkpoint; its files are opened as they are needed, and closed at the end.

    Safe to use from several threads at once.
    """

    def __init__(self, checkpoint: Checkpoint) -> None:
        self.checkpoint = checkpoint
        self._files = {file.name: file for file in checkpoint.files}
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

        Raises `ConflictError` where a file changed, `StorageError` where it cannot be read.
        """
        width = tensor.dtype.bits // 8
        if start >= stop:
            return np.empty(0, np.uint8)
        if len(tensor.blocks) == 1 and tensor.blocks[0].is_row_major:
            (block,) = tensor.blocks
            return read_array(self._open(block), block.offset + start * width, block.offset + stop * width)
        per_row = prod(tensor.shape[1:])
        first, last = start // per_row, -(-stop // per_row)
        rows = self._rows(tensor, (first, last) if tensor.shape else None)
        begin = first * per_row
        return rows[(start - begin) * width : (stop - begin) * width]

    def _rows(self, tensor: TensorSpec, rows: tuple[int, int] | None) -> NDArray[np.uint8]:
        """Whole rows, put together from the blocks that they lie in."""
        part = TensorPart(tensor, rows)
        width = tensor.dtype.bits // 8
        begin = rows[0] * prod(tensor.shape[1:]) if rows else 0
        found = np.empty(part.nbytes, np.uint8)
        for block in part.blocks:
            order = TileOrder.of(block.distinct, width)
            descriptor = self._open(block)
            content = np.concatenate([span.picked(descriptor) for span in order.spans])
            values = order.as_in_tensor(content, block.shape)
            for run in runs(replace(block, offset=0, strides=row_major(block.shape)), tensor.shape, width):
                at = (run.start - begin) * width
                found[at : at + run.numel * width] = values[run.offset : run.offset + run.numel * width]
        return found

    def _open(self, block: Block) -> int:
        with self._lock:
            if block.file not in self._descriptors:
                self._descriptors[block.file] = self.checkpoint.open(self._files[block.file])
            return self._descriptors[block.file]


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


def olds(plan: Plan, stack: ExitStack, original: Checkpoint | None = None) -> dict[TensorPart, OldTensor]:
    """What tensors hold that `plan` fills from that, by the parts it fills; it is read until `stack` is closed.

    It is read from `original` where that is given, which holds tensors of the same names.
    """
    readers: dict[int, TensorReader] = {}

    def reader(checkpoint: Checkpoint) -> TensorReader:
        if id(checkpoint) not in readers:
            readers[id(checkpoint)] = stack.enter_context(TensorReader(checkpoint))
        return readers[id(checkpoint)]

    def old(checkpoint: Checkpoint, tensor: TensorSpec) -> OldTensor:
        if original and checkpoint is plan.checkpoint:
            checkpoint, tensor = original, next(t for t in original.tensors if t.name == tensor.name)
        return OldTensor(tensor, reader(checkpoint), {})

    found: dict[TensorPart, OldTensor] = {}
    for action in plan.actions:
        if isinstance(action.fill, Revision):
            others = {source: old(*place) for source, place in action.sources.items()}
            found[action.part] = replace(old(plan.checkpoint, action.tensor), others=others)
    return found
