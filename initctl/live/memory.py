"""Bytes of torch's storages, which blocks describe as they describe a file's."""

from __future__ import annotations

import ctypes
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from initctl.layout.runs import boxes
from initctl.reading import parts_of
from initctl.stream.devices import CPU
from initctl.tensors import row_major

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from initctl.tensors import Block, TensorSpec

    Bytes = NDArray[np.uint8]

_WORDS = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64, 16: torch.complex128}
"""A dtype of each width, to move elements unchanged."""


class Memory:
    """The bytes of one storage, which must not be freed or resized meanwhile."""

    def __init__(self, storage: torch.UntypedStorage) -> None:
        self.storage, self.device = storage, storage.device
        self.bytes = torch.empty(0, dtype=torch.uint8, device=self.device).set_(storage)
        """All bytes, on the storage's own device."""

    @property
    def is_on_host(self) -> bool:
        """Whether the processor can address it."""
        return self.device.type == CPU

    def array(self, start: int, stop: int) -> Bytes:
        """Its bytes from `start` to `stop`, if it is on the host. (`Tensor.numpy` would forbid to resize it later.)"""
        place = ctypes.c_uint8 * (stop - start)
        return np.ctypeslib.as_array(place.from_address(self.storage.data_ptr() + start))

    def write(self, start: int, content: Bytes) -> None:
        """Write `content` from byte `start` on."""
        stop = start + content.size
        if self.is_on_host:
            self.array(start, stop)[...] = content
        else:
            self.bytes[start:stop].copy_(torch.from_numpy(content))

    def elements(self, block: Block, width: int) -> torch.Tensor:
        """The elements of a `block`, each of `width` bytes, as numbers that only have the right size."""
        whole = torch.empty(0, dtype=_WORDS[width], device=self.device)
        return whole.set_(self.storage, block.offset // width, block.shape, block.strides)

    def put(self, block: Block, width: int, content: Bytes | torch.Tensor) -> None:
        """Write the elements of a `block`, given in row-major order."""
        given = torch.from_numpy(content) if isinstance(content, np.ndarray) else content
        self.elements(block, width).copy_(given.view(_WORDS[width]).view(block.shape))
        if self.device.type == "cuda":  # the caller's next work may be on another stream
            torch.cuda.current_stream(self.device).synchronize()

    def get(self, block: Block, width: int) -> Bytes:
        """A copy of the elements of a `block`, in row-major order."""
        content = self.elements(block, width).cpu().clone(memory_format=torch.contiguous_format)
        return content.view(-1).view(torch.uint8).numpy()


class MemoryReader:
    """Reads tensors in memory. It keeps copies of those that it read `ahead`, and gives these."""

    def __init__(self, memories: Mapping[str, Memory]) -> None:
        self._memories = dict(memories)
        self._ahead: dict[str, TensorSpec] = {}

    def read_ahead(self, tensors: Iterable[TensorSpec]) -> None:
        """Copy `tensors`: their memory will be overwritten before all of it was read."""
        for tensor in tensors:
            if tensor.name not in self._ahead:
                self._ahead[tensor.name] = replace(tensor, blocks=tuple(self._copies(tensor)))

    def read(self, tensor: TensorSpec, start: int, stop: int) -> Bytes:
        """The bytes of elements `start` to `stop` of `tensor`, in row-major order.

        Raises `LookupError` if an element is not in this process.
        """
        width = tensor.dtype.bits // 8
        tensor = self._ahead.get(tensor.name, tensor)
        found = np.empty((stop - start) * width, np.uint8)
        reached = 0
        for box in boxes(tensor.shape, start, stop) if start < stop else ():
            end = reached + prod(box.shape) * width
            elements = found[reached:end].reshape(*box.shape, width)
            missing = prod(box.shape)
            for part, place in parts_of(tensor, box):
                elements[place] = self._memories[part.file].get(part, width).reshape(*part.shape, width)
                missing -= part.numel
            if missing:
                raise LookupError(f"tensor {tensor.name}: {missing} elements at {box.start} are not in this process")
            reached = end
        return found

    def read_rows(self, tensor: TensorSpec, order: Sequence[int], numel: int) -> NDArray[Any]:
        """The bytes of the rows of `numel` elements that `order` lists, one after another."""
        return np.concatenate([self.read(tensor, row * numel, (row + 1) * numel) for row in order])

    def _copies(self, tensor: TensorSpec) -> Iterator[Block]:
        """The blocks of `tensor`, each copied into memory of its own."""
        for number, block in enumerate(tensor.blocks):
            place = f"copy {number} of {tensor.name}"
            content = self._memories[block.file].get(block, tensor.dtype.bits // 8)
            self._memories[place] = Memory(torch.from_numpy(content).untyped_storage())
            yield block._replace(file=place, offset=0, strides=row_major(block.shape))
