"""The format of torch.save before 1.6: five pickles one after another, then the storages.

The pickles are a magic number, a protocol, the writer's machine, the object, and the keys of its storages. In the order
of these keys follow the storages, each after the number of its elements in eight bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING

from initctl.errors import shown
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
"""Bytes that are read first: as a rule the pickles are complete there."""
_FEW, _OF_A_KEY = 1000, 6
"""Instructions that the pickles around the object's take, and that the last takes for each key."""
_NOT_OURS = "save a model's state_dict() with torch.save"


def read_saved(descriptor: int, start: int, stop: int) -> SavedObject:
    """What torch.save wrote to bytes `start` to `stop` of a file, which is all of it. Raises `Malformed`."""
    pickle, keys = _described(descriptor, stop)
    storages = _storages(descriptor, keys.value, _widths(pickle.storages), keys.stop, stop)
    return SavedObject(pickle, start, storages, (), {})


def _described(descriptor: int, size: int) -> tuple[Pickle, Pickle]:
    """The pickle of the object, with the calls of those around it, and that of the keys.

    Of a file's beginning no more is read than it takes.
    """
    if size > _BEGINNING:
        with suppress(BreaksOff):
            return _pickles(read_at(descriptor, _BEGINNING, 0))
    return _pickles(read_at(descriptor, min(LONGEST_PICKLE, size), 0))


def _pickles(data: bytes) -> tuple[Pickle, Pickle]:
    magic = _magic(data)
    protocol = read_pickle(data, magic.stop, at_most=_FEW)
    if protocol.value != _PROTOCOL:
        raise Malformed("is of a version of torch's format that is not known")
    machine = read_pickle(data, protocol.stop, at_most=_FEW)
    if Looks().texts_of(machine.value).get("little_endian") is not True:
        raise Malformed("its byte order is not little", "load it and save it on a machine of the usual byte order")
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
        raise Malformed("is a pickle, but not one that torch.save wrote", _NOT_OURS)
    return magic


def _widths(named: Iterable[StorageRef]) -> Mapping[str, int]:
    """Bytes of an element of each storage that the object names."""
    widths: dict[str, int] = {}
    for ref in named:
        storage = storage_of(ref)
        width = width_of(storage.dtype) if storage.dtype else 1
        if widths.setdefault(storage.key, width) != width:
            raise Malformed(f"storage {shown(storage.key)}: is of two types")
    return widths


def _storages(
    descriptor: int, keys: object, widths: Mapping[str, int], start: int, size: int
) -> Mapping[str, tuple[int, int]]:
    """The bytes of each storage, by its key, of those that follow from byte `start` on."""
    if not isinstance(keys, list) or not all(isinstance(key, str) and key in widths for key in keys):
        raise Malformed("does not say which storages follow")
    storages: dict[str, tuple[int, int]] = {}
    for key in keys:
        count = int.from_bytes(read_at(descriptor, _COUNT_BYTES, start), "little")
        begin = start + _COUNT_BYTES
        start = begin + count * widths[key]
        if start > size:
            raise Malformed(f"storage {shown(key)}: the file is {start - size} bytes short", "get the file anew")
        storages[key] = begin, start
    if start < size:
        raise Malformed(f"{size - start} bytes after the last storage belong to none")
    if len(storages) < len(keys):
        raise Malformed("a storage is there twice")
    return storages
