"""A directory that torch.distributed.checkpoint wrote: `.metadata`, and the files that it names."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from initctl.errors import Problem, listed, shown
from initctl.formats.directories.weight_names import DISTRIBUTED_CHUNKS, DISTRIBUTED_METADATA
from initctl.formats.distributed.items import read_chunks
from initctl.formats.distributed.metadata import Metadata, read_metadata
from initctl.formats.file_formats import DISTRIBUTED
from initctl.formats.opening import Malformed, refusing, unreadable
from initctl.formats.optimizers import OptimizerFacts
from initctl.formats.table import Entry, FileTable
from initctl.formats.together import Found
from initctl.formats.torch_save.dangers import dangers
from initctl.grouping import grouped
from initctl.tensors import TensorSpec

if TYPE_CHECKING:
    from initctl.formats.directories.location import Location
    from initctl.formats.distributed.items import Blocks

_LOADER = "torch.distributed.checkpoint"
_GROUPS = ".param_groups."


def read_distributed(location: Location) -> Found:
    """The checkpoint in a directory, or in a component of one. Raises `InputError`."""
    described = os.path.join(location.path, DISTRIBUTED_METADATA)
    with refusing(described, "torch"):
        metadata = read_metadata(described)
        chunks = grouped((chunk.file, chunk) for tensor in metadata.tensors.values() for chunk in tensor.chunks)
        if missing := [shown(name) for name in chunks if not location.file(name)]:
            raise Malformed(f"lists files that are missing: {listed(missing)}")
    read = []
    for name in sorted(chunks):
        path = os.path.join(location.path, name)
        with refusing(path, "torch"):
            read.append(read_chunks(path, location.named(name), chunks[name]))
    own = location.file(DISTRIBUTED_METADATA)
    if own is None:
        raise unreadable(described, FileNotFoundError())
    sealed = {name.partition(_GROUPS)[0]: OptimizerFacts((), {}) for name in metadata.others if _GROUPS in name}
    description = FileTable(
        DISTRIBUTED,
        own,
        tuple(_entries(metadata, [blocks for _, blocks in read])),
        {},
        dict.fromkeys(metadata.others, "bytes"),
        dangers(described, metadata.calls, _LOADER),
        sealed,
    )
    tables = [FileTable(DISTRIBUTED, file, (), {}) for file, _ in read]
    return Found(location, DISTRIBUTED, tables, description, warnings=list(_strays(location, metadata)))


def _entries(metadata: Metadata, read: Iterable[Blocks]) -> Iterator[Entry]:
    """Each tensor, with its chunks as blocks."""
    blocks = {place: block for found in read for place, block in found.items()}
    for name, tensor in metadata.tensors.items():
        parts = [(chunk, *blocks[name, chunk.start]) for chunk in tensor.chunks]
        found = tuple(block for chunk, block, _ in parts if 0 not in chunk.shape)
        reason = next((reason for *_, reason in parts if reason), None)
        yield Entry(tensor.keys, TensorSpec(name, tensor.dtype, tensor.shape, found, unwritable=reason))


def _strays(location: Location, metadata: Metadata) -> Iterator[Problem]:
    """A warning if there is a file of chunks that `.metadata` does not list."""
    chunks = (name for name in location.folder.files if name.endswith(DISTRIBUTED_CHUNKS))
    if strays := [shown(name) for name in chunks if name not in metadata.files]:
        message = f"{shown(location.path)}: also contains {listed(strays)}, not listed in {DISTRIBUTED_METADATA}"
        yield Problem("directory.stray", message, "another save may have been interrupted; delete stale files")
