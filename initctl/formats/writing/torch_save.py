"""A new file of torch.save: a plain state dict in a zip archive. Only half of its id differs from torch 2.13's bytes.

torch/serialization.py writes the records in this order; caffe2/serialize/inline_container.cc adds the last two.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from hashlib import blake2b
from typing import TYPE_CHECKING
from zlib import crc32

from initctl.errors import shown
from initctl.formats.file_formats import TORCH as NAME
from initctl.formats.opening import read_at
from initctl.formats.writing.formats import Format, Layout, Part

if TYPE_CHECKING:
    from initctl.formats.checkpoint import Checkpoint
    from initctl.formats.writing.archive import Archive
    from initctl.formats.writing.state_dict import Named
    from initctl.tensors import TensorSpec

_FORMAT_VERSION, _BYTE_ORDER, _VERSION = b"1", b"little", b"3\n"
_STORAGES = "data/"
_ID, _ID_DIGITS = ".data/serialization_id", 20
"""Two numbers of this many digits each: a hash of the names of records, and one of their CRC-32s."""
_NO_STEM = "archive"
"""The name that torch gives an archive without a path."""
_CRC_BYTES = 4
_64_BITS = (1 << 64) - 1


def _unfit(tensor: TensorSpec) -> str | None:
    if tensor.dtype.bits % 8:
        dtype = f"{tensor.dtype.bits} bits ({shown(tensor.dtype.name)})"
        return f"torch has no dtype for single elements of {dtype}"
    return None


def _layout(file: str, tensors: Sequence[TensorSpec], _: Checkpoint) -> Layout:
    """Each tensor has a separate storage; tensors tied to it use the same storage.

    The folder in the archive is named after `file`, without its ending. Metadata of safetensors is not written.
    """
    from initctl.formats.writing.archive import ALIGNMENT, Archive, Record
    from initctl.formats.writing.state_dict import state_dict

    storages = {tensor.name: str(number) for number, tensor in enumerate(tensors)}
    archive = Archive(
        _folder(file),
        [
            Record.whole("data.pkl", state_dict(_named(tensors, storages))),
            Record.whole(".format_version", _FORMAT_VERSION),
            Record.whole(".storage_alignment", str(ALIGNMENT).encode()),
            Record.whole("byteorder", _BYTE_ORDER),
            *(Record(_STORAGES + storages[tensor.name], tensor.nbytes) for tensor in tensors),
            Record.whole("version", _VERSION),
            Record.whole(_ID, bytes(2 * _ID_DIGITS)),
        ],
    )
    offsets = {tensor.name: archive.begins[_STORAGES + storages[tensor.name]] for tensor in tensors}
    stored = [checksum for name, checksum in archive.checksums.items() if name.startswith(_STORAGES)]
    return Layout(archive.parts, offsets, archive.size, stored, partial(_identified, archive))


def _named(tensors: Iterable[TensorSpec], storages: Mapping[str, str]) -> Iterator[Named]:
    """Each of `tensors` under its name, and then under its other names."""
    from initctl.formats.writing.state_dict import Named

    for tensor in tensors:
        others = sorted({*tensor.tied, *tensor.aliases} - {tensor.name})
        yield from (Named(name, tensor, storages[tensor.name]) for name in (tensor.name, *others))


def _folder(file: str) -> str:
    """The folder in the archive that torch writes to `file`: the stem, if that is ASCII."""
    name = re.split(r"[/\\]", file)[-1]
    stem = name.rpartition(".")[0] if "." in name else name
    return stem if stem.isascii() and stem.strip(".") else _NO_STEM


def _identified(archive: Archive, descriptor: int) -> Sequence[Part]:
    """The id of an archive that is otherwise complete, and its checksums.

    The second half is equal to torch's. The first half hashes the same names, but torch uses the hash function of its
    C++ library there, which differs from system to system.
    """
    *records, own = archive.checksums.values()
    combined = 0
    for record in records:
        found = read_at(descriptor, _CRC_BYTES, record.places[0])
        combined = _combined(combined, int.from_bytes(found, "little"))
    names = blake2b("\0".join(archive.begins).encode(), digest_size=8).digest()
    content = f"{int.from_bytes(names, 'little'):0{_ID_DIGITS}}{combined:0{_ID_DIGITS}}".encode()
    crc = crc32(content).to_bytes(_CRC_BYTES, "little")
    return [(own.start, content), *((place, crc) for place in own.places)]


def _combined(hashed: int, value: int) -> int:
    """`hash_combine` of c10/util/hash.h."""
    return hashed ^ ((value + 0x9E3779B9 + (hashed << 6) + (hashed >> 2)) & _64_BITS)


TORCH = Format(NAME, "torch.save's format", _unfit, _layout)
