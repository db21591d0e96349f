"""The values of a checkpoint's tensors by element index: as bytes, from any places in files, or as numbers."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from math import prod
from threading import Lock, local
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, Self

import numpy as np

from initctl.commit.copying import read_into
from initctl.commit.failure import ReadError
from initctl.dtypes import BY_NAME
from initctl.errors import Problem, StorageError, shown
from initctl.formats.opening import close
from initctl.layout.order import TileOrder
from initctl.layout.pieces import AT_ONCE
from initctl.layout.runs import Box, boxes
from initctl.stream import RevisingLaw, Source
from initctl.system_errors import reason
from initctl.tensors import Block, TensorPart, TensorSpec

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from initctl.formats import Checkpoint, CheckpointFile
    from initctl.planning import Plan

_MOST_OPEN = 32
"""Files that stay open."""
_NATIVE = ("integer", "bool")
"""Kinds of dtypes whose numbers are not converted: float32 could not hold all of them."""
_BYTE = BY_NAME["uint8"]
_memcmp = ctypes.CDLL(None).memcmp
"""C's memcmp is twice as fast as NumPy, and runs without Python's lock."""
_memcmp.argtypes = ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t


class TensorReader:
    """Reads tensors of one checkpoint; opens files when they are needed, and closes them at the end.

    `others` are files without tensors that are read too. Safe to use from several threads at once.
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
            close(descriptor)
        self._descriptors.clear()

    def read(
        self, tensor: TensorSpec, start: int, stop: int, out: NDArray[np.uint8] | None = None
    ) -> NDArray[np.uint8]:
        """The bytes of elements `start` to `stop` of `tensor`, in row-major order; in `out`, if given, which must be
        large enough.

        Raises `ConflictError` if a file changed, `StorageError` if it cannot be read, and `LookupError` if an element
        has no value yet.
        """
        width = tensor.dtype.bits // 8
        if start >= stop:
            return np.empty(0, np.uint8)
        nbytes = (stop - start) * width
        found = np.empty(nbytes, np.uint8) if out is None else out[:nbytes]
        if (known := self.checkpoint.values.get(tensor.name)) is not None:
            found[:] = np.frombuffer(known, np.uint8)[start * width : stop * width]
            return found
        if (block := tensor.leading) and stop <= block.numel:
            with self.opened(block.file) as descriptor:
                read_into(descriptor, found.data, block.offset + start * width)
            return found
        reached = 0
        for box in boxes(tensor.shape, start, stop):
            nbytes = prod(box.shape) * width
            self._gather(tensor, box, found[reached : reached + nbytes])
            reached += nbytes
        return found

    def read_range(self, file: str, start: int, stop: int, out: NDArray[np.uint8] | None = None) -> NDArray[np.uint8]:
        """The bytes of a file from `start` to `stop`; in `out`, if given. Raises as `read` does."""
        found = np.empty(stop - start, np.uint8) if out is None else out[: stop - start]
        with self.opened(file) as descriptor:
            read_into(descriptor, found.data, start)
        return found

    def read_rows(self, tensor: TensorSpec, order: Sequence[int], numel: int) -> NDArray[np.uint8]:
        """The bytes of the rows of `numel` elements that `order` lists, one after another. Raises as `read` does."""
        if not tensor.is_in_order:
            return np.concatenate([self.read(tensor, row * numel, (row + 1) * numel) for row in order])
        (block,) = tensor.blocks
        nbytes = numel * tensor.dtype.bits // 8
        found = np.empty(len(order) * nbytes, np.uint8)
        room = found.data
        with self.opened(block.file) as descriptor:
            for place, row in enumerate(order):
                read_into(descriptor, room[place * nbytes : (place + 1) * nbytes], block.offset + row * nbytes)
        return found

    def _gather(self, tensor: TensorSpec, box: Box, out: NDArray[np.uint8]) -> None:
        """Copy the elements of a `box` from their blocks into `out`."""
        width = tensor.dtype.bits // 8
        elements = out.reshape(*box.shape, width)
        missing = prod(box.shape)
        for part, place in parts_of(tensor, box):
            with self.opened(part.file) as descriptor:
                elements[place] = read_tile(descriptor, part, width).reshape(*part.shape, width)
            missing -= part.numel
        if missing:
            raise LookupError(f"tensor {tensor.name}: {missing} elements at {box.start} have no value yet")

    @contextmanager
    def opened(self, file: str) -> Iterator[int]:
        """A descriptor of a file. The first files stay open; the number is limited, as a process may not open many.

        Raises `ConflictError` if the file changed, and `StorageError` if the body cannot read it.
        """
        with self._lock:
            if file not in self._descriptors and len(self._descriptors) < _MOST_OPEN:
                self._descriptors[file] = self.checkpoint.open(self._files[file])
            kept = self._descriptors.get(file)
        descriptor = self.checkpoint.open(self._files[file]) if kept is None else kept
        try:
            yield descriptor
        except ReadError as error:
            if error.descriptor != descriptor:  # the body also reads another file
                raise
            if error.is_short:
                raise self.checkpoint.changed(self._files[file]) from None
            fault = f"{shown(os.path.join(self.checkpoint.directory, file))}: cannot be read: {reason(error)}"
            raise StorageError(Problem("input.unreadable", fault)) from error
        finally:
            if kept is None:
                close(descriptor)


class Reader(Protocol):
    """Reads the values of tensors, as `TensorReader` does."""

    def read(self, tensor: TensorSpec, start: int, stop: int) -> NDArray[np.uint8]:
        """The bytes of elements `start` to `stop` of `tensor`, in row-major order."""

    def read_rows(self, tensor: TensorSpec, order: Sequence[int], numel: int) -> NDArray[np.uint8]:
        """The bytes of the rows of `numel` elements that `order` lists, one after another."""


class Buffers(local):
    """Memory for reading pieces of `count` tensors side by side: each thread has its own.

    Getting new memory from the system costs more than reading into it.
    """

    def __init__(self, count: int = 1) -> None:
        self.each = [np.empty(AT_ONCE[count], np.uint8) for _ in range(count)]


def parts_of(tensor: TensorSpec, box: Box) -> Iterator[tuple[Block, tuple[slice, ...]]]:
    """The parts of the blocks of `tensor` in a `box` of it, each with its place there."""
    width = tensor.dtype.bits // 8
    for block in tensor.blocks:
        part = block
        places = []
        for dim, (start, size) in enumerate(zip(box.start, box.shape, strict=True)):
            first = max(start, block.start[dim])
            last = max(first, min(start + size, block.start[dim] + block.shape[dim]))
            part = part.part(dim, first - block.start[dim], last - block.start[dim], width)
            places.append(slice(first - start, last - start))
        if part.numel:
            yield part, tuple(places)


def read_array(descriptor: int, start: int, stop: int) -> NDArray[np.uint8]:
    """The bytes of a file from `start` to `stop`. Raises as `read_into` does."""
    content = np.empty(stop - start, np.uint8)
    read_into(descriptor, content.data, start)
    return content


def read_tile(descriptor: int, tile: Block, width: int) -> NDArray[np.uint8]:
    """The bytes of the elements of a `tile`, each of `width` bytes, in row-major order."""
    order = TileOrder.of(tile.distinct, width)
    content = [near.picked(read_array(descriptor, near.start, near.stop)) for near in order.near_runs]
    return order.as_in_tensor(np.concatenate(content), tile.shape)


def equal(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> bool:
    """Whether two contiguous arrays of the same size are equal. Stops at the first difference."""
    return not _memcmp(one.ctypes.data, other.ctypes.data, one.size)


def in_numbers(tensor: TensorSpec) -> TensorSpec:
    """`tensor`; if its elements are packed or quantized, as the integers that are stored for them."""
    match tensor.dtype.kind:
        case "quantized":
            return replace(tensor, dtype=BY_NAME["int32"] if tensor.dtype.bits > _BYTE.bits else _BYTE)
        case "packed" if tensor.is_in_order:
            (block,) = tensor.blocks
            return TensorSpec.contiguous(tensor.name, _BYTE, (tensor.nbytes,), block.file, block.offset)
    return tensor


class OldTensor(NamedTuple):
    """The values of `tensor` as numbers. `others` are tensors that it may be filled from."""

    tensor: TensorSpec
    reader: Reader
    others: Mapping[Source, OldTensor]

    @property
    def shape(self) -> tuple[int, ...]:
        return self.tensor.shape

    def values(self, start: int, stop: int) -> NDArray[Any]:
        """The numbers at indices `start` ≤ i < `stop`, two for each complex element."""
        dtype, stored = self.tensor.dtype, self.stored(start, stop)
        return stored if dtype.kind in _NATIVE or dtype.is_double else stored.astype(np.float32)

    def stored(self, start: int, stop: int) -> NDArray[Any]:
        """The same numbers in the tensor's own dtype."""
        dtype = self.tensor.dtype
        content = self.reader.read(self.tensor, start // dtype.parts, -(-stop // dtype.parts))
        skipped = start % dtype.parts
        return content.view(dtype.numpy)[skipped : skipped + stop - start]

    def rows(self, order: Sequence[int], width: int) -> NDArray[Any]:
        """The rows of `width` numbers that `order` lists, one after another, in the tensor's own dtype."""
        dtype = self.tensor.dtype
        return self.reader.read_rows(self.tensor, order, width // dtype.parts).view(dtype.numpy)

    def other(self, source: Source) -> OldTensor:
        return self.others[source]


def olds(plan: Plan, stack: ExitStack, own: Reader | None = None) -> dict[TensorPart, OldTensor]:
    """The old values that `plan` needs, by the parts that it fills; readable until `stack` is closed. If given, `own`
    reads the tensors of the plan's checkpoint.
    """
    readers: dict[int, Reader] = {id(plan.checkpoint): own} if own else {}

    def old(checkpoint: Checkpoint, tensor: TensorSpec) -> OldTensor:
        if id(checkpoint) not in readers:
            readers[id(checkpoint)] = stack.enter_context(TensorReader(checkpoint))
        return OldTensor(tensor, readers[id(checkpoint)], {})

    found: dict[TensorPart, OldTensor] = {}
    for action in plan.actions:
        if isinstance(action.law, RevisingLaw):
            others = {source: old(*place) for source, place in action.sources.items()}
            found[action.part] = old(plan.checkpoint, action.tensor)._replace(others=others)
    return found
