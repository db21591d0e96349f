"""A directory that torch.distributed.checkpoint wrote: `.metadata`, and the files that it names."""

from __future__ import annotations

import os
from collections import defaultdict
from typing import TYPE_CHECKING

from initctl.errors import InputError, Problem, listed, shown
from initctl.formats.distributed.items import read_chunks
from initctl.formats.distributed.metadata import read_metadata
from initctl.formats.files import Location, together
from initctl.formats.optimizers import OptimizerFacts
from initctl.formats.table import Entry, Table
from initctl.formats.torch_save.dangers import dangers
from initctl.formats.torch_save.malformed import Malformed
from initctl.tensors import TensorSpec

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from initctl.dtypes import DType
    from initctl.formats.checkpoint import Checkpoint
    from initctl.formats.distributed.items import ChunkFile
    from initctl.formats.distributed.metadata import Chunk, Layout, Metadata
    from initctl.formats.listing import Listing
    from initctl.tensors import Block, Shape

NAME = "torch-distributed"
METADATA = ".metadata"
SUFFIX = ".distcp"
_LOADER = "torch.distributed.checkpoint"
_GROUPS = ".param_groups."


def read_distributed(path: str, listing: Listing, root: str | None) -> Checkpoint:
    """The checkpoint in the directory at `path`, which holds the files of `listing`.

    Raises `InputError`, and `UsageError` where no tensor lies at `root`.
    """
    directory = os.path.realpath(path)
    described = os.path.join(path, METADATA)
    try:
        metadata = read_metadata(described)
    except Malformed as fact:
        raise _refused(described, fact) from None
    chunks = _by_file(metadata.layouts.values())
    if missing := [name for name in chunks if name not in listing.files]:
        named = listed([shown(name) for name in missing])
        raise _refused(described, Malformed(f"{named}: named there, but not in the directory"))
    read = [_read_chunks(os.path.join(path, name), name, chunks[name]) for name in sorted(chunks)]
    sealed = {name.partition(_GROUPS)[0]: OptimizerFacts((), {}) for name in metadata.others if _GROUPS in name}
    return together(
        Location(path, directory, directory),
        NAME,
        [Table(NAME, one.file, (), {}) for one in read],
        root=root,
        description=Table(
            NAME,
            listing.files[METADATA],
            tuple(_entries(metadata, read)),
            {},
            dict.fromkeys(metadata.others, "bytes"),
            dangers(described, metadata.calls, _LOADER),
            sealed,
        ),
        other_files=tuple(file for name, file in listing.files.items() if name not in chunks),
        warnings=_strays(path, listing, metadata),
    )


def _by_file(layouts: Iterable[Layout]) -> dict[str, list[tuple[Chunk, DType]]]:
    """The chunks that each file holds, and their dtypes."""
    chunks: dict[str, list[tuple[Chunk, DType]]] = defaultdict(list)
    for layout in layouts:
        for chunk in layout.chunks:
            chunks[chunk.file].append((chunk, layout.dtype))
    return chunks


def _read_chunks(path: str, name: str, chunks: list[tuple[Chunk, DType]]) -> ChunkFile:
    try:
        return read_chunks(path, name, chunks)
    except Malformed as fact:
        raise _refused(path, fact) from None


def _entries(metadata: Metadata, read: Iterable[ChunkFile]) -> Iterator[Entry]:
    """Every tensor, its chunks as blocks."""
    blocks: dict[tuple[str, Shape], Block] = {}
    reasons: dict[str, str] = {}
    for one in read:
        blocks |= one.blocks
        reasons |= one.unwritable
    for name, layout in metadata.layouts.items():
        found = tuple(blocks[name, chunk.start] for chunk in layout.chunks if 0 not in chunk.shape)
        yield Entry(layout.keys, TensorSpec(name, layout.dtype, layout.shape, found, unwritable=reasons.get(name)))


def _strays(path: str, listing: Listing, metadata: Metadata) -> tuple[Problem, ...]:
    """A warning where a file of chunks lies there that nothing names."""
    strays = [name for name in listing.files if name.endswith(SUFFIX) and name not in metadata.files]
    if not strays:
        return ()
    message = f"{shown(path)}: also holds {listed([shown(name) for name in strays])}, which {METADATA} does not name"
    return (Problem("directory.stray", message, "another save may have been interrupted; remove what is out of date"),)


def _refused(path: str, fact: Malformed) -> InputError:
    return InputError(Problem("torch.malformed", f"{shown(path)}: {fact}", fact.hint))
