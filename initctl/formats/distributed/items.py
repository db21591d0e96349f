"""The files of chunks: each chunk is a separate torch.save archive, or one tensor of a safetensors file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from initctl.errors import shown
from initctl.formats import safetensors
from initctl.formats.checkpoint_file import CheckpointFile, Checksum
from initctl.formats.file_formats import SNIFFED, is_safetensors
from initctl.formats.opening import Malformed, opened, read_at
from initctl.formats.torch_save import archive
from initctl.formats.torch_save.standins import MadeTensor
from initctl.formats.torch_save.tensors import tensor_at

if TYPE_CHECKING:
    from initctl.formats.distributed.metadata import Chunk
    from initctl.tensors import Block, Shape, TensorSpec

    Blocks = Mapping[tuple[str, Shape], tuple[Block, str | None]]
    """The block of each chunk, by tensor and start, and the reason if no rule can fill the tensor."""


def read_chunks(path: str, name: str, chunks: Iterable[Chunk]) -> tuple[CheckpointFile, Blocks]:
    """The file at `path`, which `.metadata` calls `name`, and the blocks of its `chunks`.

    Raises `InputError`, and `Malformed`.
    """
    with opened(path) as (descriptor, status):
        reader = _Items(path, name, descriptor, status.st_size)
        blocks = {(chunk.name, chunk.start): reader.block(chunk) for chunk in chunks}
    return CheckpointFile.of(name, status, tuple(reader.checksums)), blocks


class _Items:
    """Reads the items of one file. Each item is read once, even if `.metadata` puts many chunks there."""

    def __init__(self, path: str, name: str, descriptor: int, size: int) -> None:
        self.path = path
        self.name = name
        self.descriptor = descriptor
        self.size = size
        self.checksums: list[Checksum] = []
        self._archives: dict[tuple[int, int], TensorSpec | None] = {}
        self._parts: dict[int, dict[str, TensorSpec]] = {}

    def block(self, chunk: Chunk) -> tuple[Block, str | None]:
        """The block of `chunk`, and the reason if no rule can fill it. Raises `Malformed`."""
        place = f"tensor {shown(chunk.name)}: its chunk at {list(chunk.start)}"
        if chunk.offset + chunk.length > self.size:
            raise Malformed(f"{place} reaches beyond the end of the file", "copy or download the file again")
        content = read_at(self.descriptor, SNIFFED, chunk.offset)
        tensor = None
        if content.startswith(archive.SIGNATURE):
            tensor = self._of_archive(chunk)
        elif is_safetensors(content):
            tensor = self._of_safetensors(chunk)
        if tensor is None or not tensor.blocks or (tensor.dtype, tensor.shape) != (chunk.dtype, chunk.shape):
            raise Malformed(f"{place} does not match .metadata")
        return tensor.blocks[0]._replace(start=chunk.start), tensor.unwritable

    def _of_archive(self, chunk: Chunk) -> TensorSpec | None:
        place = chunk.offset, chunk.offset + chunk.length
        if place not in self._archives:
            saved = archive.read_saved(self.descriptor, *place)
            value = saved.pickle.value
            self.checksums += (c._replace(name=f"{chunk.name} {c.name}") for c in saved.checksums)
            found = tensor_at(value, saved.storages, self.name) if isinstance(value, MadeTensor) else None
            self._archives[place] = found
        return self._archives[place]

    def _of_safetensors(self, chunk: Chunk) -> TensorSpec | None:
        """A tensor of the safetensors file that begins at the chunk and ends with the file."""
        if chunk.offset not in self._parts:
            tensors = safetensors.read_part(self.path, self.name, self.descriptor, chunk.offset, self.size)
            self._parts[chunk.offset] = {tensor.name: tensor for tensor in tensors}
        return self._parts[chunk.offset].get(chunk.name)
