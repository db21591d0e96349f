"""One file of torch.save as a table. The first bytes show which of the two containers it is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from initctl.display.tables import size_text
from initctl.dtypes import BY_NAME
from initctl.errors import shown
from initctl.formats.checkpoint_file import CheckpointFile
from initctl.formats.file_formats import TORCH, TORCH_LEGACY
from initctl.formats.opening import Malformed, opened, read_at, refusing
from initctl.formats.table import Entry, FileTable, Keys
from initctl.formats.torch_save import archive, legacy
from initctl.formats.torch_save.contents import contents_of, in_a_word, of_one_rank
from initctl.formats.torch_save.dangers import dangers
from initctl.formats.torch_save.graph import Graph
from initctl.formats.torch_save.looks import Looks
from initctl.formats.torch_save.standins import CONTAINERS, Global, Made, MadeTensor, PatchableInt, StorageRef
from initctl.formats.torch_save.states import optimizers_in
from initctl.formats.torch_save.tensors import start_of, storage_of, tensor_at
from initctl.tensors import Block, TensorSpec

if TYPE_CHECKING:
    from initctl.formats.torch_save.container import SavedObject


def read_table(path: str, name: str) -> FileTable:
    """The table of the file at `path`; the checkpoint calls it `name`. Raises `InputError`."""
    with refusing(path, "torch"), opened(path) as (descriptor, status):
        zipped = _is_zipped(descriptor)
        read = archive.read_saved if zipped else legacy.read_saved
        saved = read(descriptor, 0, status.st_size)
        graph = _graph(saved)
        entries = tuple(_entry(keys, tensor, saved.storages, name) for keys, tensor in graph.named())
        _check_claim([entry.tensor for entry in entries if entry.tensor.blocks], status.st_size)
        return FileTable(
            TORCH if zipped else TORCH_LEGACY,
            CheckpointFile.of(name, status, saved.checksums),
            entries,
            saved.metadata,
            optimizers=optimizers_in(graph, name, saved.origin),
            contents=contents_of(saved.pickle.value, graph.looks),
            unlisted=tuple(_unlisted(graph, saved.storages, name)),
            of_one_rank=of_one_rank(saved.pickle.value, saved.pickle.names.named, graph.looks),
            warnings=dangers(path, saved.pickle.names),
        )


def check_saved(path: str) -> None:
    """Raise `InputError` unless torch.save wrote the file at `path`. Reads only the directory of an archive."""
    with refusing(path, "torch"), opened(path) as (descriptor, status):
        read = archive.read_archive if _is_zipped(descriptor) else legacy.read_saved
        read(descriptor, 0, status.st_size)


def _is_zipped(descriptor: int) -> bool:
    return read_at(descriptor, len(_ZIP), 0) == _ZIP


def _graph(saved: SavedObject) -> Graph:
    """The graph of the object. Raises `Malformed` if its tensors have no names."""
    value = saved.pickle.value
    if isinstance(value, MadeTensor) or not isinstance(value, CONTAINERS):
        raise Malformed(f"contains only {shown(in_a_word(value))}, no named tensors", "save a state_dict() instead")
    return Graph(value, Looks(), saved.pickle.discarded)


def _entry(keys: Keys, tensor: MadeTensor, storages: Mapping[str, tuple[int, int]], file: str) -> Entry:
    name = ".".join([key if type(key) is str else _text_of(key) for key in keys])
    try:
        found = tensor_at(tensor, storages, file, name)
    except Malformed as fact:
        raise Malformed(f"tensor {shown(name)}: {fact}", fact.hint) from None
    if not _NAMED.issuperset(map(type, keys)):
        found = replace(found, unwritable="a key that leads to it is not text")
    return Entry(keys, found)


def _check_claim(tensors: Sequence[TensorSpec], size: int) -> None:
    """Raise `Malformed` if `tensors` have far more elements than a file of `size` bytes holds, because they share them:
    a command that reads all elements would not end.
    """
    claimed = sum(tensor.nbytes for tensor in tensors)
    if claimed > _LEAST_CLAIM + _TIMES_SHARED * size:
        largest = max(tensors, key=lambda tensor: tensor.nbytes)
        fault = f"its elements share memory: all tensors have {size_text(claimed)}, and the file {size_text(size)}"
        raise Malformed(f"tensor {shown(largest.name)}: {fault}", "save what .contiguous() or .clone() returns")


def _unlisted(graph: Graph, storages: Mapping[str, tuple[int, int]], file: str) -> Iterator[TensorSpec]:
    """The bytes of unlisted tensors and of whole storages, which something other than a named tensor refers to.

    Raises `Malformed` if one of them could not be loaded.
    """
    told: set[tuple[Block, ...]] = set()
    for keys, found in graph.unlisted():
        place = _place_of(keys)
        try:
            tensor = (
                tensor_at(found, storages, file) if isinstance(found, MadeTensor) else _bytes_of(found, storages, file)
            )
        except Malformed as fact:
            raise Malformed(f"a tensor at {shown(place)}: {fact}", fact.hint) from None
        if tensor.numel and tensor.blocks not in told:
            told.add(tensor.blocks)
            yield replace(tensor, name=place)


def _bytes_of(found: StorageRef, storages: Mapping[str, tuple[int, int]], file: str) -> TensorSpec:
    """All bytes of a storage."""
    storage = storage_of(found)
    return TensorSpec.contiguous("", BY_NAME["uint8"], (storage.nbytes,), file, start_of(storage, storages))


def _place_of(keys: Keys | None) -> str:
    """The keys that lead near something without a name, as text."""
    if keys is None:
        return "a place without a name"
    return ".".join(_text_of(key)[:_SHOWN_KEY] for key in keys)[:_SHOWN_KEYS] or "the top"


def _text_of(key: Any) -> str:  # noqa: ANN401 - whatever a pickle holds
    """A key as a part of a name. A key that is neither text nor a number is named by its type."""
    if isinstance(key, str):
        return key
    if type(key) in _NAMED and key.bit_length() <= _LONGEST_NUMBER:
        return str(key)
    return "<object>" if isinstance(key, (Made, Global)) else f"<{type(key).__name__}>"


_ZIP = b"PK"
_NAMED = frozenset((str, int, PatchableInt))
"""Types of keys that rules can name."""
_SHOWN_KEY, _SHOWN_KEYS = 40, 120
"""Characters."""
_LEAST_CLAIM, _TIMES_SHARED = 1 << 30, 64
"""Bytes that all tensors of any file may have, and how often more than that may share each byte of the file."""
_LONGEST_NUMBER = 64
"""Bits."""
