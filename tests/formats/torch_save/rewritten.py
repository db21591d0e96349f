"""Files of torch.save taken apart and put together again, with one thing otherwise than torch does it."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

UTF_8, DESCRIPTOR, ENCRYPTED = 2048, 8, 1
STORED, DEFLATED = 0, 8
MISSING = 0xFFFFFFFF
"""Stands in a directory for a number that a Zip64 field holds."""


def saved(value: Any, **options: Any) -> bytes:
    """What torch.save writes; to a stream, so that its folder is called `archive`."""
    stream = io.BytesIO()
    torch.save(value, stream, **options)
    return stream.getvalue()


def legacy(value: Any, **options: Any) -> bytes:
    return saved(value, _use_new_zipfile_serialization=False, **options)


@dataclass(frozen=True)
class Record:
    """A record, and what its headers say of it: by default the truth, as torch writes it, in a descriptor."""

    name: str | bytes
    content: bytes
    crc: int | None = None
    flags: int = UTF_8 | DESCRIPTOR
    method: int = STORED
    size: int | None = None
    local_name: str | bytes | None = None
    local_crc: int = 0
    local_size: int = 0
    extra: bytes = b""
    attributes: int = 0
    wide: bool = False
    """Whether sizes and offset stand in Zip64 fields, as for what is larger than 4 GiB."""


def records_of(content: bytes) -> dict[str, Record]:
    """The records of an archive by their names below its folder, in order."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        read = [(info.filename, archive.read(info)) for info in archive.infolist()]
    return {name.partition("/")[2]: Record(name, held) for name, held in read}


def packed(records: Iterable[Record], *, zip64_end: bool = False, **end: int) -> bytes:
    """An archive of `records`; `end` overrides `count`, `size` and `offset` of the directory in its last lines."""
    bodies, entries = [], []
    reached = 0
    for record in records:
        entries.append(_central(record, reached))
        bodies.append(_local(record))
        reached += len(bodies[-1])
    body, directory, count = b"".join(bodies), b"".join(entries), len(entries)
    numbers = {"count": count, "size": len(directory), "offset": len(body)}
    said = {**numbers, **end}
    wide = b""
    if zip64_end:
        wide = struct.pack("<4sQ2H2I4Q", b"PK\6\6", 44, 45, 45, 0, 0, count, count, len(directory), len(body))
        wide += struct.pack("<4sIQI", b"PK\6\7", 0, len(body) + len(directory), 1)
    told = min(said["count"], 0xFFFF)
    last = struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, told, told, said["size"], said["offset"], 0)
    return body + directory + wide + last


def repacked(content: bytes, changes: Mapping[str, Record | bytes | None], **end: Any) -> bytes:
    """An archive with some of its records replaced, given other content, or left out."""
    records = records_of(content)
    for name, change in changes.items():
        if change is None:
            del records[name]
        else:
            records[name] = change if isinstance(change, Record) else Record(f"archive/{name}", change)
    return packed(records.values(), **end)


def with_pickle(content: bytes, pickle: bytes) -> bytes:
    """An archive with another data.pkl, its checksum made to fit."""
    return repacked(content, {"data.pkl": pickle})


def pickle_of(content: bytes) -> bytes:
    return records_of(content)["data.pkl"].content


def replaced(content: bytes, old: bytes, new: bytes) -> bytes:
    """`content` with `new` for `old`, which it holds once."""
    assert content.count(old) == 1, (content.count(old), old)
    return content.replace(old, new)


def _crc(record: Record) -> int:
    return zlib.crc32(record.content) if record.crc is None else record.crc


def _bytes(name: str | bytes) -> bytes:
    return name.encode() if isinstance(name, str) else name


def _local(record: Record) -> bytes:
    name = _bytes(record.name if record.local_name is None else record.local_name)
    size, crc = record.local_size, record.local_crc
    if not record.flags & DESCRIPTOR:
        size, crc = size or len(record.content), crc or _crc(record)
    extra = record.extra
    numbers = (0, record.flags, record.method, 0, 0, crc, size, size, len(name), len(extra))
    header = struct.pack("<4s5H3I2H", b"PK\3\4", *numbers) + name + extra
    after = b""
    if record.flags & DESCRIPTOR:
        said = len(record.content) if record.size is None else record.size
        after = struct.pack("<4sIQQ" if record.wide else "<4sIII", b"PK\7\x08", _crc(record), said, said)
    return header + record.content + after


def _central(record: Record, offset: int) -> bytes:
    name = _bytes(record.name)
    size = len(record.content) if record.size is None else record.size
    extra = b""
    if record.wide:
        extra = struct.pack("<HH3Q", 1, 24, size, size, offset)
        size = offset = MISSING
    numbers = (
        0,
        0,
        record.flags,
        record.method,
        0,
        0,
        _crc(record),
        size,
        size,
        len(name),
        len(extra),
        0,
        0,
        0,
        record.attributes,
    )
    return struct.pack("<4s6H3I5H2I", b"PK\1\2", *numbers, offset) + name + extra
