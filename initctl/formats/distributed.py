"""Directories of torch.distributed.checkpoint: `.metadata`, and files that hold chunks of tensors.

`.metadata` is a pickle, read as data only. It says of each tensor which rectangles it was cut into, and of each of them
in which file it lies and where: as an archive of its own, as torch.save writes it, or in safetensors.
torch/distributed/checkpoint/metadata.py and filesystem.py describe it.
"""

from __future__ import annotations

import os
from collections import defaultdict
from dataclasses import replace
from math import prod
from typing import TYPE_CHECKING, Any, NamedTuple

from initctl.errors import InputError, Problem, listed, shown
from initctl.formats import safetensors
from initctl.formats.checkpoint import CheckpointFile, Identity
from initctl.formats.files import together
from initctl.formats.index import plain_name
from initctl.formats.opening import open_regular, read_at
from initctl.formats.optimizers import Groups
from initctl.formats.table import Entry, Table
from initctl.formats.torch_save import archive
from initctl.formats.torch_save.file import dangers, tensor_at
from initctl.formats.torch_save.inert import Global, Made, read_pickle
from initctl.formats.torch_save.malformed import Malformed
from initctl.formats.torch_save.saved import LONGEST_PICKLE
from initctl.formats.torch_save.tensors import LARGEST_SIZE, dtype_of, is_tensor, sizes_of
from initctl.tensors import TensorSpec

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from initctl.dtypes import DType
    from initctl.formats.checkpoint import Checkpoint, Checksum
    from initctl.formats.listing import Listing
    from initctl.formats.table import Keys
    from initctl.tensors import Block, Shape

NAME = "torch-distributed"
METADATA = ".metadata"
SUFFIX = ".distcp"
_TENSOR, _BYTES = "TensorStorageMetadata", "BytesStorageMetadata"
_GROUPS = ".param_groups."
_MOST_CELLS = 10_000_000
"""Parts that the edges of all chunks cut a tensor into, at most."""


class Chunk(NamedTuple):
    """A rectangle of the tensor `name`, from index `start`; it is held by `length` bytes from `offset` of `file`."""

    name: str
    start: Shape
    shape: Shape
    file: str
    offset: int
    length: int


class Layout(NamedTuple):
    """A tensor as `.metadata` lists it, and the keys that lead to it."""

    keys: Keys
    dtype: DType
    shape: Shape
    chunks: tuple[Chunk, ...]


class Held(NamedTuple):
    """What a file holds: the block of each chunk, by tensor and start; and why no rule can fill some tensors."""

    file: CheckpointFile
    blocks: Mapping[tuple[str, Shape], Block]
    unwritable: Mapping[str, str]


def read_distributed(path: str, listing: Listing, root: str | None) -> Checkpoint:
    """The checkpoint in the directory at `path`, which holds the files of `listing`.

    Raises `InputError`, and `UsageError` where no tensor lies at `root`.
    """
    directory = os.path.realpath(path)
    described = os.path.join(path, METADATA)
    try:
        pickle = read_pickle(_content(described))
        fields = _attributes(pickle.value)
        layouts = _layouts(fields)
    except Malformed as fact:
        raise _refused(described, fact) from None
    by_file: dict[str, list[tuple[Chunk, DType]]] = defaultdict(list)
    for layout in layouts.values():
        for chunk in layout.chunks:
            by_file[chunk.file].append((chunk, layout.dtype))
    if missing := [name for name in by_file if name not in listing.files]:
        named = listed([shown(name) for name in missing])
        raise _refused(described, Malformed(f"{named}: named there, but not in the directory"))
    held = [_held(os.path.join(path, name), name, chunks) for name, chunks in sorted(by_file.items())]
    blocks = {key: block for one in held for key, block in one.blocks.items()}
    reasons = {name: reason for one in held for name, reason in one.unwritable.items()}
    entries = tuple(_entry(name, layout, blocks, reasons.get(name)) for name, layout in layouts.items())
    others = dict(_others(fields))
    sealed = {name.partition(_GROUPS)[0]: Groups((), {}) for name in others if _GROUPS in name}
    return together(
        path,
        NAME,
        directory,
        directory,
        [Table(NAME, one.file, (), {}) for one in held],
        root=root,
        description=Table(
            NAME, listing.files[METADATA], entries, {}, others, dangers(described, pickle.globals), sealed
        ),
        other_files=tuple(file for name, file in listing.files.items() if name not in by_file),
        warnings=_strays(path, listing, fields),
    )


def _entry(name: str, layout: Layout, blocks: Mapping[tuple[str, Shape], Block], unwritable: str | None) -> Entry:
    found = tuple(blocks[name, chunk.start] for chunk in layout.chunks if 0 not in chunk.shape)
    return Entry(layout.keys, TensorSpec(name, layout.dtype, layout.shape, found, unwritable=unwritable))


def _strays(path: str, listing: Listing, fields: Mapping[str, Any]) -> tuple[Problem, ...]:
    """A warning where a file of chunks lies there that nothing names."""
    infos = [_attributes(made) for _, made in _pairs(fields.get("storage_data"), "storage_data")]
    named = {name for info in infos if isinstance(name := info.get("relative_path"), str)}
    strays = [name for name in listing.files if name.endswith(SUFFIX) and name not in named]
    if not strays:
        return ()
    message = f"{shown(path)}: also holds {listed([shown(name) for name in strays])}, which {METADATA} does not name"
    return (Problem("directory.stray", message, "another save may have been interrupted; remove what is out of date"),)


def _content(path: str) -> bytes:
    descriptor, status = open_regular(path)
    try:
        if status.st_size > LONGEST_PICKLE:
            raise Malformed(f"is longer than {LONGEST_PICKLE:,} bytes")
        return read_at(descriptor, status.st_size, 0)
    finally:
        os.close(descriptor)


def _layouts(fields: Mapping[str, Any]) -> dict[str, Layout]:
    """Every tensor, by name."""
    places, keys = _places(fields), _keys(fields)
    return {name: _layout(name, keys.get(name, (name,)), made, places) for name, made in _tensors(fields)}


def _keys(fields: Mapping[str, Any]) -> dict[str, Keys]:
    """The keys that lead to each tensor, by name, where the writer noted them down."""
    noted = fields.get("planner_data")
    pairs = noted.pairs or [] if isinstance(noted, Made) else []
    return {
        name: keys
        for name, keys in pairs
        if isinstance(name, str) and isinstance(keys, tuple) and all(type(key) in (str, int) for key in keys)
    }


def _tensors(fields: Mapping[str, Any]) -> Iterator[tuple[str, Made]]:
    """The tensors that `.metadata` lists, by name."""
    for name, made in _pairs(fields.get("state_dict_metadata"), "state_dict_metadata"):
        if not (isinstance(name, str) and isinstance(made, Made) and isinstance(made.called, Global)):
            raise Malformed("state_dict_metadata: lists what is neither a tensor nor bytes")
        if made.called.name == _TENSOR:
            yield name, made
        elif made.called.name != _BYTES:
            raise Malformed(f"{shown(name)}: is kept as {shown(made.called)}, of which nothing is known")


def _places(fields: Mapping[str, Any]) -> Mapping[tuple[str, Shape], Chunk]:
    """Where each chunk lies, by its tensor and start; its shape is not told here."""
    places: dict[tuple[str, Shape], Chunk] = {}
    for key, made in _pairs(fields.get("storage_data"), "storage_data"):
        index, info = _attributes(key), _attributes(made)
        name, start = index.get("fqn"), index.get("offset")
        if not isinstance(name, str) or start is None:
            continue  # bytes, which stay as they are
        file, offset, length = (info.get(field) for field in ("relative_path", "offset", "length"))
        if not isinstance(file, str) or type(offset) is not int or type(length) is not int or offset < 0 or length < 0:
            raise Malformed(f"tensor {shown(name)}: where it lies is not told")
        if fault := plain_name(file):
            raise Malformed(f"{shown(file)}: {fault[1]}")
        if info.get("transform_descriptors"):
            hint = "save it without extensions"
            raise Malformed(f"tensor {shown(name)}: is compressed or transformed", hint)
        begin = sizes_of(start, "offset")
        if (name, begin) in places:
            raise Malformed(f"tensor {shown(name)}: the chunk at {list(begin)} is there twice")
        places[name, begin] = Chunk(name, begin, (), file, offset, length)
    return places


def _layout(name: str, keys: Keys, made: Made, places: Mapping[tuple[str, Shape], Chunk]) -> Layout:
    fields = _attributes(made)
    properties = fields.get("properties")
    state = properties.state if isinstance(properties, Made) else None
    dtype = state[0] if isinstance(state, tuple) and state else _attributes(properties).get("dtype")
    chunks = fields.get("chunks")
    if not isinstance(chunks, list):
        raise Malformed(f"tensor {shown(name)}: its chunks are no list")
    shape = sizes_of(fields.get("size"))
    found = []
    for chunk in chunks:
        of_chunk = _attributes(chunk)
        start, size = sizes_of(of_chunk.get("offsets"), "offsets"), sizes_of(of_chunk.get("sizes"), "sizes")
        place = places.get((name, start))
        if place is None:
            raise Malformed(f"tensor {shown(name)}: the chunk at {list(start)} lies nowhere")
        found.append(place._replace(shape=size))
    _check_tiled(name, shape, found)
    return Layout(keys, dtype_of(dtype), shape, tuple(found))


def _check_tiled(name: str, shape: Shape, chunks: Sequence[Chunk]) -> None:
    """Every element belongs to one chunk: told by the cells that the edges of all chunks cut the tensor into."""
    import numpy as np

    if prod(shape) >= LARGEST_SIZE:
        raise Malformed(f"tensor {shown(name)}: holds more elements than there can be")
    if sum(prod(chunk.shape) for chunk in chunks) != prod(shape):
        raise Malformed(f"tensor {shown(name)}: its chunks leave gaps, overlap, or lie outside of it")
    edges = [{0, size} for size in shape]
    for chunk in chunks:
        if not len(shape) == len(chunk.start) == len(chunk.shape):
            raise Malformed(f"tensor {shown(name)}: a chunk has other dims than the tensor")
        for dim, (start, size) in enumerate(zip(chunk.start, chunk.shape, strict=True)):
            edges[dim] |= {start, start + size}
    numbers = [{edge: number for number, edge in enumerate(sorted(found))} for found in edges]
    cells = [len(found) - 1 for found in numbers]
    if prod(cells) > _MOST_CELLS:
        raise Malformed(f"tensor {shown(name)}: is cut into more chunks than can be checked")
    owned = np.zeros(cells, np.int32)
    for chunk in chunks:
        corners = zip(numbers, chunk.start, chunk.shape, strict=True)
        owned[tuple(slice(of[start], of[start + size]) for of, start, size in corners)] += 1
    if any(max(found) > size for found, size in zip(edges, shape, strict=True)) or (owned != 1).any():
        raise Malformed(f"tensor {shown(name)}: its chunks leave gaps, overlap, or lie outside of it")


def _held(path: str, name: str, chunks: Sequence[tuple[Chunk, DType]]) -> Held:
    """What the file at `path`, which `.metadata` calls `name`, holds of `chunks`. Raises `InputError`."""
    descriptor, status = open_regular(path)
    reader = _Items(path, name, descriptor, status.st_size)
    try:
        blocks = {(chunk.name, chunk.start): reader.block(chunk, dtype) for chunk, dtype in chunks}
    except Malformed as fact:
        raise _refused(path, fact) from None
    finally:
        os.close(descriptor)
    file = CheckpointFile(name, Identity.of(status), status.st_mode & 0o7777, tuple(reader.checksums))
    return Held(file, blocks, reader.unwritable)


class _Items:
    """Reads the items of one file; each is an archive, or all that follow are one safetensors file."""

    def __init__(self, path: str, name: str, descriptor: int, size: int) -> None:
        self.path = path
        self.name = name
        self.descriptor = descriptor
        self.size = size
        self.checksums: list[Checksum] = []
        self.parts: dict[int, dict[str, TensorSpec]] = {}
        self.unwritable: dict[str, str] = {}

    def block(self, chunk: Chunk, dtype: DType) -> Block:
        """Where the elements of `chunk` lie. Raises `Malformed`."""
        place = f"tensor {shown(chunk.name)}: its chunk at {list(chunk.start)}"
        if chunk.offset + chunk.length > self.size:
            raise Malformed(f"{place} reaches beyond the end", "get the file anew")
        content = read_at(self.descriptor, safetensors.SNIFFED, chunk.offset)
        tensor = None
        if content.startswith(archive.SIGNATURE):
            tensor = self.of_archive(chunk)
        elif safetensors.is_at(content):
            tensor = self.of_safetensors(chunk)
        if tensor is None or not tensor.blocks or (tensor.dtype, tensor.shape) != (dtype, chunk.shape):
            raise Malformed(f"{place} holds something else")
        if tensor.unwritable:
            self.unwritable[chunk.name] = tensor.unwritable
        return replace(tensor.blocks[0], start=chunk.start)

    def of_archive(self, chunk: Chunk) -> TensorSpec | None:
        saved = archive.read_saved(self.descriptor, chunk.offset, chunk.offset + chunk.length)
        value = saved.pickle.value
        self.checksums += (c._replace(name=f"{chunk.name} {c.name}") for c in saved.checksums)
        return tensor_at(value, saved.storages, self.name) if is_tensor(value) else None

    def of_safetensors(self, chunk: Chunk) -> TensorSpec | None:
        if chunk.offset not in self.parts:
            tensors = safetensors.read_part(self.path, self.name, self.descriptor, chunk.offset, self.size)
            self.parts[chunk.offset] = {tensor.name: tensor for tensor in tensors}
        return self.parts[chunk.offset].get(chunk.name)


def _others(fields: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """What the checkpoint holds beside tensors: bytes, which nothing here looks into."""
    for name, made in _pairs(fields.get("state_dict_metadata"), "state_dict_metadata"):
        if isinstance(name, str) and isinstance(made, Made) and getattr(made.called, "name", "") != _TENSOR:
            yield name, "bytes"


def _attributes(value: Any) -> dict[str, Any]:  # noqa: ANN401 - whatever a pickle holds
    """The attributes that an object is given."""
    state = value.state if isinstance(value, Made) else None
    if not isinstance(state, Made):
        return {}
    return {key: held for key, held in state.pairs or () if isinstance(key, str)}


def _pairs(value: Any, name: str) -> list[tuple[Any, Any]]:  # noqa: ANN401
    if not isinstance(value, Made):
        raise Malformed(f"holds no {name}", "it is not torch.distributed.checkpoint's, or of a version not known")
    return value.pairs or []


def _refused(path: str, fact: Malformed) -> InputError:
    return InputError(Problem("torch.malformed", f"{shown(path)}: {fact}", fact.hint))
