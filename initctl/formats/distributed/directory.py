"""A directory that torch.distributed.checkpoint wrote: `.metadata`, and the files that it names."""

from __future__ import annotations

import os
from collections import defaultdict
from contextlib import contextmanager
from typing import TYPE_CHECKING

from initctl.errors import InputError, Problem, listed, shown
from initctl.formats.directories.weight_names import DISTRIBUTED_CHUNKS, DISTRIBUTED_METADATA
from initctl.formats.distributed.items import read_chunks
from initctl.formats.distributed.metadata import read_metadata
from initctl.formats.file_formats import DISTRIBUTED
from initctl.formats.opening import Malformed, unreadable
from initctl.formats.optimizers import OptimizerFacts
from initctl.formats.table import Entry, FileTable
from initctl.formats.together import Found
from initctl.formats.torch_save.dangers import dangers
from initctl.tensors import TensorSpec

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from initctl.formats.directories.location import Location
    from initctl.formats.distributed.items import ChunkFile
    from initctl.formats.distributed.metadata import Chunk, ChunkedTensor, Metadata

_LOADER = "torch.distributed.checkpoint"
_GROUPS = ".param_groups."


def read_distributed(location: Location) -> Found:
    """The checkpoint in a directory, or in a component of one. Raises `InputError`."""
    described = os.path.join(location.path, DISTRIBUTED_METADATA)
    with _refusing(described):
        metadata = read_metadata(described)
        chunks = _by_file(metadata.tensors.values())
        if missing := [shown(name) for name in chunks if not location.file(name)]:
            raise Malformed(f"{listed(missing)}: named there, but not in the directory")
    read = []
    for name in sorted(chunks):
        path = os.path.join(location.path, name)
        with _refusing(path):
            read.append(read_chunks(path, location.named(name), chunks[name]))
    own = location.file(DISTRIBUTED_METADATA)
    if own is None:
        raise unreadable(described, FileNotFoundError())
    sealed = {name.partition(_GROUPS)[0]: OptimizerFacts((), {}) for name in metadata.others if _GROUPS in name}
    description = FileTable(
        DISTRIBUTED,
        own,
        tuple(_entries(metadata, read)),
        {},
        dict.fromkeys(metadata.others, "bytes"),
        dangers(described, metadata.calls, _LOADER),
        sealed,
    )
    tables = [FileTable(DISTRIBUTED, one.file, (), {}) for one in read]
    return Found(location, DISTRIBUTED, tables, description, warnings=_strays(location, metadata))


def _by_file(tensors: Iterable[ChunkedTensor]) -> dict[str, list[Chunk]]:
    """The chunks that each file holds."""
    chunks: dict[str, list[Chunk]] = defaultdict(list)
    for tensor in tensors:
        for chunk in tensor.chunks:
            chunks[chunk.file].append(chunk)
    return chunks


def _entries(metadata: Metadata, read: Iterable[ChunkFile]) -> Iterator[Entry]:
    """Every tensor, its chunks as blocks."""
    blocks = {place: block for one in read for place, block in one.blocks.items()}
    for name, tensor in metadata.tensors.items():
        parts = [(chunk, *blocks[name, chunk.start]) for chunk in tensor.chunks]
        found = tuple(block for chunk, block, _ in parts if 0 not in chunk.shape)
        reason = next((reason for *_, reason in parts if reason), None)
        yield Entry(tensor.keys, TensorSpec(name, tensor.dtype, tensor.shape, found, unwritable=reason))


def _strays(location: Location, metadata: Metadata) -> tuple[Problem, ...]:
    """A warning if there is a file of chunks that nothing names."""
    strays = [
        name for name in location.folder.files if name.endswith(DISTRIBUTED_CHUNKS) and name not in metadata.files
    ]
    if not strays:
        return ()
    named = listed([shown(name) for name in strays])
    message = f"{shown(location.path)}: also holds {named}, which {DISTRIBUTED_METADATA} does not name"
    return (Problem("directory.stray", message, "another save may have been interrupted; remove what is out of date"),)


@contextmanager
def _refusing(path: str) -> Iterator[None]:
    """Raise `InputError` if what is read of the file at `path` is malformed."""
    try:
        yield
    except Malformed as fact:
        raise InputError(Problem("torch.malformed", f"{shown(path)}: {fact}", fact.hint)) from None
