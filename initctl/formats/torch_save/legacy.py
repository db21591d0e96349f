"""The format of torch.save before 1.6: five pickles one after another, then the storages.

The pickles are a magic number, a protocol, the writer's machine, the object, and the keys of its storages. Then the
storages follow, in the order of these keys, each after the number of its elements in eight bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING

from initctl.errors import shown
from initctl.formats.mistaken.known import OTHER_PICKLE
from initctl.formats.opening import Malformed, read_at
from initctl.formats.torch_save.container import SavedObject
from initctl.formats.torch_save.looks import Looks
from initctl.formats.torch_save.pickle import LONGEST_PICKLE, BreaksOff, Pickle, read_pickle
from initctl.formats.torch_save.tensors import storage_of, width_of

if TYPE_CHECKING:
    from initctl.formats.torch_save.standins import StorageRef

MAGIC = 0x1950A86A20F9469CFC6C
_PROTOCOL = 1001
_COUNT_BYTES = 8
_BEGINNING = 1 << 20
"""Bytes that are read first: they usually contain all pickles."""
_FEW, _OF_A_KEY = 1000, 6
"""The most instructions of the pickles around the object's, and of the last pickle for each key."""
_PARTS_OF_AN_ID = 6
"""The kind of a storage, its type, key, device and size, and a view of it or None."""


def read_saved(descriptor: int, start: int, stop: int) -> SavedObject:
    """The saved object in bytes `start` to `stop`, which must be the whole file. Raises `Malformed`."""
    pickle, keys = _described(descriptor, stop)
    storages = _storages(descriptor, keys.value, _widths(pickle.storages), keys.stop, stop)
    return SavedObject(pickle, start, storages, (), {})


def _described(descriptor: int, size: int) -> tuple[Pickle, Pickle]:
    """The pickle of the object, with the calls of the pickles around it, and the pickle of the keys.

    Reads only a part of the file if that is enough.
    """
    if size > _BEGINNING:
        with suppress(BreaksOff):
            return _pickles(read_at(descriptor, _BEGINNING, 0))
    return _pickles(read_at(descriptor, min(LONGEST_PICKLE, size), 0))


def _pickles(data: bytes) -> tuple[Pickle, Pickle]:
    magic = _magic(data)
    protocol = read_pickle(data, magic.stop, at_most=_FEW)
    if protocol.value != _PROTOCOL:
        raise Malformed("has an unknown version of torch's format")
    machine = read_pickle(data, protocol.stop, at_most=_FEW)
    if Looks().texts_of(machine.value).get("little_endian") is not True:
        raise Malformed("its byte order is not little", "load it and save it again on a little-endian machine")
    pickle = read_pickle(data, machine.stop)
    keys = read_pickle(data, pickle.stop, at_most=_FEW + _OF_A_KEY * len(pickle.storages))
    others = (other.names for other in (magic, protocol, machine, keys))
    return pickle._replace(names=pickle.names.together(*others)), keys


def _magic(data: bytes) -> Pickle:
    try:
        magic = read_pickle(data, at_most=_FEW)
    except BreaksOff:
        raise
    except Malformed:
        magic = None
    if magic is None or magic.value != MAGIC:
        raise Malformed(*OTHER_PICKLE)
    return magic


def _widths(named: Iterable[StorageRef]) -> Mapping[str, int]:
    """The bytes of an element of each storage that the object names."""
    widths: dict[str, int] = {}
    for ref in named:
        storage = storage_of(ref)
        if len(ref.id) != _PARTS_OF_AN_ID:
            raise Malformed("its pickle names a storage in an unknown way")
        width = width_of(storage.dtype) if storage.dtype else 1
        if widths.setdefault(storage.key, width) != width:
            raise Malformed(f"storage {shown(storage.key)}: has two different types")
    return widths


def _storages(
    descriptor: int, keys: object, widths: Mapping[str, int], start: int, size: int
) -> Mapping[str, tuple[int, int]]:
    """The offsets at which each storage begins and ends, by its key; the first one is at byte `start`."""
    if not isinstance(keys, list) or not all(isinstance(key, str) and key in widths for key in keys):
        raise Malformed("has no valid list of its storages")
    storages: dict[str, tuple[int, int]] = {}
    for key in keys:
        count = int.from_bytes(read_at(descriptor, _COUNT_BYTES, start), "little")
        begin = start + _COUNT_BYTES
        start = begin + count * widths[key]
        if start > size:
            hint = "if the download was truncated, download the file again"
            raise Malformed(f"storage {shown(key)}: missing bytes at the end of the file: {start - size}", hint)
        storages[key] = begin, start
    if start < size:
        raise Malformed(f"unexpected bytes after the last storage: {size - start}")
    if len(storages) < len(keys):
        raise Malformed("a storage is listed twice")
    return storages
