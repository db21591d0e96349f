"""The format of torch.save before 1.6: five pickles one after another, then the storages.

The pickles are a magic number, a protocol, the writer's machine, the object, and the keys of its storages. In the order
of these keys follow the storages, each after the number of its elements in eight bytes.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from initctl.errors import shown
from initctl.formats.opening import read_at
from initctl.formats.torch_save.contents import texts_of
from initctl.formats.torch_save.inert import read_pickle
from initctl.formats.torch_save.malformed import Malformed
from initctl.formats.torch_save.saved import LONGEST_PICKLE, ByteRange, SavedObject
from initctl.formats.torch_save.tensors import storage_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from initctl.formats.torch_save.inert import Persistent, Pickle

MAGIC = 0x1950A86A20F9469CFC6C
_PROTOCOL = 1001
_COUNT_BYTES = 8
_BEGINNINGS = (1 << 20, 1 << 24, LONGEST_PICKLE)
"""Bytes that are read until the pickles are complete."""
_NOT_OURS = "save a model's state_dict() with torch.save"


def read_saved(descriptor: int, size: int) -> SavedObject:
    """What torch.save wrote to a file of `size` bytes. Raises `Malformed`."""
    pickle, pickled, keys = _described(descriptor, size)
    storages = _storages(descriptor, keys.value, _widths(pickle.persistent), keys.stop, size)
    return SavedObject(pickle, pickled, storages, (), {})


def _described(descriptor: int, size: int) -> tuple[Pickle, ByteRange, Pickle]:
    """The pickle of the object, where it lies, and that of the keys.

    Of a file's beginning no more is read than it takes, by and by.
    """
    *shorter, longest = _BEGINNINGS
    for length in shorter:
        with suppress(Malformed):
            return _pickles(read_at(descriptor, min(length, size), 0))
    return _pickles(read_at(descriptor, min(longest, size), 0))


def _pickles(data: bytes) -> tuple[Pickle, ByteRange, Pickle]:
    magic = read_pickle(data)
    if magic.value != MAGIC:
        raise Malformed("is a pickle, but not one that torch.save wrote", _NOT_OURS)
    protocol = read_pickle(data, magic.stop)
    if protocol.value != _PROTOCOL:
        raise Malformed("is of a version of torch's format that is not known")
    machine = read_pickle(data, protocol.stop)
    _check_machine(machine.value)
    pickle = read_pickle(data, machine.stop)
    return pickle, ByteRange(machine.stop, pickle.stop), read_pickle(data, pickle.stop)


def _check_machine(value: Any) -> None:  # noqa: ANN401 - whatever the file holds
    if texts_of(value).get("little_endian") is not True:
        raise Malformed("its byte order is not little", "load it and save it on a machine of the usual byte order")


def _widths(named: Iterable[Persistent]) -> Mapping[str, int]:
    """Bytes of an element of each storage that the object names."""
    widths: dict[str, int] = {}
    for persistent in named:
        storage, dtype, _ = storage_of(persistent)
        width = dtype.bits // 8 if dtype else 1
        if widths.setdefault(storage.key, width) != width:
            raise Malformed(f"storage {shown(storage.key)}: is of two types")
    return widths


def _storages(descriptor: int, keys: Any, widths: Mapping[str, int], start: int, size: int) -> Mapping[str, ByteRange]:  # noqa: ANN401
    if not isinstance(keys, list) or not all(isinstance(key, str) and key in widths for key in keys):
        raise Malformed("does not say which storages follow")
    storages: dict[str, ByteRange] = {}
    for key in keys:
        count = int.from_bytes(read_at(descriptor, _COUNT_BYTES, start), "little")
        begin = start + _COUNT_BYTES
        start = begin + count * widths[key]
        if start > size:
            raise Malformed(f"storage {shown(key)}: the file is {start - size} bytes short", "get the file anew")
        storages[key] = ByteRange(begin, start)
    if start < size:
        raise Malformed(f"{size - start} bytes after the last storage belong to none")
    if len(storages) < len(keys):
        raise Malformed("a storage is there twice")
    return storages
