"""`.metadata` of torch.distributed.checkpoint: which tensors there are, how they were cut, and where each chunk is.

It is a pickle, read as data only. torch/distributed/checkpoint/metadata.py and filesystem.py describe it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from initctl.errors import shown
from initctl.formats.directories.folder import plain_name
from initctl.formats.opening import Malformed, opened, read_at
from initctl.formats.parts.tiling import tiling_fault
from initctl.formats.torch_save.looks import Looks
from initctl.formats.torch_save.pickle import LONGEST_PICKLE, read_pickle
from initctl.formats.torch_save.standins import Global, Made, PatchableInt
from initctl.formats.torch_save.tensors import dtype_of, sizes_of

if TYPE_CHECKING:
    from initctl.dtypes import DType
    from initctl.formats.table import Keys
    from initctl.formats.torch_save.calls import CalledNames
    from initctl.tensors import Shape

_TENSOR, _BYTES = "TensorStorageMetadata", "BytesStorageMetadata"
_Places = dict[tuple[str, "Shape"], tuple[str, int, int]]
"""By tensor and start of a chunk: its file, its offset in bytes, and its length in bytes."""
_STEPS = 20
"""The steps for reading a chunk; a look at an entry is one step."""


class Chunk(NamedTuple):
    """A rectangle of the tensor `name`, from index `start`. It is in `length` bytes from `offset` of `file`."""

    name: str
    dtype: DType
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
    """The content of `.metadata`: tensors and byte entries by name, their files, and what its pickle would call."""

    tensors: Mapping[str, ChunkedTensor]
    others: tuple[str, ...]
    files: frozenset[str]
    calls: CalledNames


def read_metadata(path: str) -> Metadata:
    """The content of the `.metadata` file at `path`. Raises `InputError`, and `Malformed`."""
    pickle, looks = read_pickle(_content(path)), Looks()
    if pickle.storages:
        raise Malformed("its pickle names storages, which only a file of torch.save can have")
    fields = _attributes(pickle.value, looks)
    places, files = _places(fields, looks)
    keys = _keys(fields)
    tensors: dict[str, ChunkedTensor] = {}
    others: list[str] = []
    for name, made in _pairs(fields, "state_dict_metadata", looks):
        if not (isinstance(name, str) and isinstance(made, Made) and isinstance(made.called, Global)):
            raise Malformed("state_dict_metadata: lists an entry that is neither a tensor nor bytes")
        if made.called.name == _TENSOR:
            tensors[name] = _whole(name, keys.get(name, (name,)), made, places, looks)
        elif made.called.name == _BYTES:
            others.append(name)
        else:
            raise Malformed(f"{shown(name)}: is a {shown(made.called)}, which initctl does not know")
    return Metadata(tensors, tuple(others), frozenset(files), pickle.names)


def _content(path: str) -> bytes:
    with opened(path) as (descriptor, status):
        if status.st_size > LONGEST_PICKLE:
            raise Malformed(f"is longer than {LONGEST_PICKLE:,} bytes")
        return read_at(descriptor, status.st_size, 0)


def _keys(fields: Mapping[str, Any]) -> dict[str, Keys]:
    """The keys that lead to each tensor, by name, if the writer saved them."""
    noted = fields.get("planner_data")
    pairs = noted.pairs or [] if isinstance(noted, Made) else []
    return {
        name: keys
        for name, keys in pairs
        if isinstance(name, str)
        and isinstance(keys, tuple)
        and all(type(key) in (str, int, PatchableInt) for key in keys)
    }


def _places(fields: Mapping[str, Any], looks: Looks) -> tuple[_Places, set[str]]:
    """The place of each chunk, and all files that are named."""
    places: _Places = {}
    files: set[str] = set()
    for key, made in _pairs(fields, "storage_data", looks):
        index, info = _attributes(key, looks), _attributes(made, looks)
        name, start = index.get("fqn"), index.get("offset")
        file, offset, length = (info.get(field) for field in ("relative_path", "offset", "length"))
        if isinstance(file, str):
            files.add(file)
        if not isinstance(name, str) or start is None:
            continue  # bytes, which are kept
        if not isinstance(file, str) or type(offset) is not int or type(length) is not int or offset < 0 or length < 0:
            raise Malformed(f"tensor {shown(name)}: has no valid place in a file")
        if fault := plain_name(file):
            raise Malformed(f"{shown(file)}: {fault[1]}")
        if info.get("transform_descriptors"):
            hint = "save it without extensions"
            raise Malformed(f"tensor {shown(name)}: is compressed or transformed", hint)
        begin = sizes_of(start, "offset")
        if (name, begin) in places:
            raise Malformed(f"tensor {shown(name)}: the chunk at {list(begin)} is listed twice")
        places[name, begin] = file, offset, length
    return places, files


def _whole(name: str, keys: Keys, made: Made, places: _Places, looks: Looks) -> ChunkedTensor:
    fields = _attributes(made, looks)
    properties = fields.get("properties")
    state = properties.state if isinstance(properties, Made) else None
    named = state[0] if isinstance(state, tuple) and state else _attributes(properties, looks).get("dtype")
    chunks = fields.get("chunks")
    if not isinstance(chunks, list):
        raise Malformed(f"tensor {shown(name)}: its chunks are not a list")
    looks.spend(_STEPS * len(chunks))
    shape, dtype = sizes_of(fields.get("size")), dtype_of(named)
    found = []
    for chunk in chunks:
        of_chunk = _attributes(chunk, looks)
        start, size = sizes_of(of_chunk.get("offsets"), "offsets"), sizes_of(of_chunk.get("sizes"), "sizes")
        place = places.get((name, start))
        if place is None:
            raise Malformed(f"tensor {shown(name)}: the chunk at {list(start)} has no place in a file")
        found.append(Chunk(name, dtype, start, size, *place))
    if fault := tiling_fault(shape, [(c.start, c.shape) for c in found], looks.spend, called="chunk"):
        raise Malformed(f"tensor {shown(name)}: {fault}")
    return ChunkedTensor(keys, dtype, shape, tuple(found))


def _attributes(value: Any, looks: Looks) -> dict[str, Any]:  # noqa: ANN401 - whatever a pickle holds
    return looks.texts_of(value.state) if isinstance(value, Made) else {}


def _pairs(fields: Mapping[str, Any], name: str, looks: Looks) -> list[tuple[Any, Any]]:
    value = fields.get(name)
    if not isinstance(value, Made):
        hint = "torch.distributed.checkpoint did not write it, or this version of its format is not supported"
        raise Malformed(f"has no {name}", hint)
    looks.spend(len(value.pairs or ()))
    return value.pairs or []
