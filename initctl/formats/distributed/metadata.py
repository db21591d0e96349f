"""`.metadata` of torch.distributed.checkpoint: which tensors there are, how they were cut, and where each chunk is.

It is a pickle, read as data only. torch/distributed/checkpoint/metadata.py and filesystem.py describe it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from initctl.errors import shown
from initctl.formats.directories.folder import plain_name
from initctl.formats.parts.tiling import tiling_fault
from initctl.formats.reading import opened, read_at
from initctl.formats.torch_save.looks import Looks
from initctl.formats.torch_save.malformed import Malformed
from initctl.formats.torch_save.pickle import LONGEST_PICKLE, read_pickle
from initctl.formats.torch_save.standins import Call, Global, PatchableInt
from initctl.formats.torch_save.tensors import dtype_of, sizes_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from initctl.dtypes import DType
    from initctl.formats.table import Keys
    from initctl.formats.torch_save.calls import CalledNames
    from initctl.tensors import Shape

_TENSOR, _BYTES = "TensorStorageMetadata", "BytesStorageMetadata"
_STEPS = 20
"""What a chunk takes, as a look at an entry takes one step."""


class Chunk(NamedTuple):
    """A rectangle of the tensor `name`, from index `start`; it is held by `length` bytes from `offset` of `file`."""

    name: str
    start: Shape
    shape: Shape
    file: str
    offset: int
    length: int


class ChunkedTensor(NamedTuple):
    """A tensor as `.metadata` lists it, and the keys that lead to it."""

    keys: Keys
    dtype: DType
    shape: Shape
    chunks: tuple[Chunk, ...]


class Metadata(NamedTuple):
    """What `.metadata` says: every tensor and every run of bytes by name, the files that hold them, and what its pickle
    would call.
    """

    tensors: Mapping[str, ChunkedTensor]
    others: tuple[str, ...]
    files: frozenset[str]
    calls: CalledNames


def read_metadata(path: str) -> Metadata:
    """What the file at `path` says, which is called `.metadata`. Raises `InputError`, and `Malformed`."""
    pickle, looks = read_pickle(_content(path)), Looks()
    fields = _attributes(pickle.value, looks)
    tensors = _chunked(fields, looks)
    return Metadata(tensors, tuple(_others(fields, looks)), frozenset(_files(fields, looks)), pickle.names)


def _content(path: str) -> bytes:
    with opened(path) as (descriptor, status):
        if status.st_size > LONGEST_PICKLE:
            raise Malformed(f"is longer than {LONGEST_PICKLE:,} bytes")
        return read_at(descriptor, status.st_size, 0)


def _chunked(fields: Mapping[str, Any], looks: Looks) -> dict[str, ChunkedTensor]:
    """Every tensor, by name."""
    places, keys = _places(fields, looks), _keys(fields)
    return {name: _whole(name, keys.get(name, (name,)), made, places, looks) for name, made in _tensors(fields, looks)}


def _keys(fields: Mapping[str, Any]) -> dict[str, Keys]:
    """The keys that lead to each tensor, by name, if the writer noted them down."""
    noted = fields.get("planner_data")
    pairs = noted.pairs or [] if isinstance(noted, Call) else []
    return {
        name: keys
        for name, keys in pairs
        if isinstance(name, str)
        and isinstance(keys, tuple)
        and all(type(key) in (str, int, PatchableInt) for key in keys)
    }


def _tensors(fields: Mapping[str, Any], looks: Looks) -> Iterator[tuple[str, Call]]:
    """The tensors that `.metadata` lists, by name."""
    for name, made in _pairs(fields.get("state_dict_metadata"), "state_dict_metadata", looks):
        if not (isinstance(name, str) and isinstance(made, Call) and isinstance(made.called, Global)):
            raise Malformed("state_dict_metadata: lists what is neither a tensor nor bytes")
        if made.called.name == _TENSOR:
            yield name, made
        elif made.called.name != _BYTES:
            raise Malformed(f"{shown(name)}: is kept as {shown(made.called)}, of which nothing is known")


def _others(fields: Mapping[str, Any], looks: Looks) -> Iterator[str]:
    """What the checkpoint holds beside tensors, by name: bytes, which nothing here looks into."""
    for name, made in _pairs(fields.get("state_dict_metadata"), "state_dict_metadata", looks):
        if isinstance(name, str) and isinstance(made, Call) and getattr(made.called, "name", "") != _TENSOR:
            yield name


def _files(fields: Mapping[str, Any], looks: Looks) -> Iterator[str]:
    for _, made in _pairs(fields.get("storage_data"), "storage_data", looks):
        name = _attributes(made, looks).get("relative_path")
        if isinstance(name, str):
            yield name


def _places(fields: Mapping[str, Any], looks: Looks) -> Mapping[tuple[str, Shape], Chunk]:
    """Where each chunk is, by its tensor and start; its shape is noted elsewhere."""
    places: dict[tuple[str, Shape], Chunk] = {}
    for key, made in _pairs(fields.get("storage_data"), "storage_data", looks):
        index, info = _attributes(key, looks), _attributes(made, looks)
        name, start = index.get("fqn"), index.get("offset")
        if not isinstance(name, str) or start is None:
            continue  # bytes, which stay as they are
        file, offset, length = (info.get(field) for field in ("relative_path", "offset", "length"))
        if not isinstance(file, str) or type(offset) is not int or type(length) is not int or offset < 0 or length < 0:
            raise Malformed(f"tensor {shown(name)}: no place in a file is given")
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


def _whole(name: str, keys: Keys, made: Call, places: Mapping[tuple[str, Shape], Chunk], looks: Looks) -> ChunkedTensor:
    fields = _attributes(made, looks)
    properties = fields.get("properties")
    state = properties.state if isinstance(properties, Call) else None
    dtype = state[0] if isinstance(state, tuple) and state else _attributes(properties, looks).get("dtype")
    chunks = fields.get("chunks")
    if not isinstance(chunks, list):
        raise Malformed(f"tensor {shown(name)}: its chunks are not a list")
    looks.spend(_STEPS * len(chunks))
    shape = sizes_of(fields.get("size"))
    found = []
    for chunk in chunks:
        of_chunk = _attributes(chunk, looks)
        start, size = sizes_of(of_chunk.get("offsets"), "offsets"), sizes_of(of_chunk.get("sizes"), "sizes")
        place = places.get((name, start))
        if place is None:
            raise Malformed(f"tensor {shown(name)}: the chunk at {list(start)} is in no file")
        found.append(place._replace(shape=size))
    if fault := tiling_fault(shape, found, looks.spend, called="chunk"):
        raise Malformed(f"tensor {shown(name)}: {fault}")
    return ChunkedTensor(keys, dtype_of(dtype), shape, tuple(found))


def _attributes(value: Any, looks: Looks) -> dict[str, Any]:  # noqa: ANN401 - whatever a pickle holds
    """The attributes that an object is given."""
    return looks.texts_of(value.state) if isinstance(value, Call) else {}


def _pairs(value: Any, name: str, looks: Looks) -> list[tuple[Any, Any]]:  # noqa: ANN401
    if not isinstance(value, Call):
        raise Malformed(f"holds no {name}", "it is not torch.distributed.checkpoint's, or of a version not known")
    looks.spend(len(value.pairs or ()))
    return value.pairs or []
