"""A new zip archive, byte for byte as torch.save writes it.

caffe2/serialize/inline_container.cc writes it with miniz: stored records, whose content begins at multiples of 64
bytes, each followed by its CRC-32; a directory; and always the end of a Zip64 archive. Numbers that do not fit into 32
bits are in Zip64 fields, as in miniz.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable
from typing import NamedTuple

from initctl.formats.checkpoint_file import Checksum
from initctl.formats.torch_save.archive import (
    CENTRAL,
    CRC_IN_CENTRAL,
    CRC_IN_DESCRIPTOR,
    DESCRIPTOR,
    DESCRIPTOR_64,
    END,
    END_64,
    END_64_LENGTH,
    HAS_DESCRIPTOR,
    IN_EXTRA,
    LOCAL,
    LOCATOR_64,
    SIGNATURE,
    STORED,
    ZIP64,
)

ALIGNMENT = 64
"""Bytes; torch's default."""
_IN_UTF_8 = 0x800
_PADDING = b"FB"
"""The name of the field that pads a record's header."""
_MOST_LISTED = 0xFFFF
_MADE_BY, _NEEDED = 0x031E, 45
"""miniz's values: version 3.0 of the format on Unix wrote this, and 4.5 is needed to read it."""


class Record(NamedTuple):
    """A record of `size` bytes. `content` is None if it is written later.

    An `Archive` sets the offsets of the header and of the content: `header` and `begin`.
    """

    name: str
    size: int
    content: bytes | None = None
    header: int = 0
    begin: int = 0

    @classmethod
    def whole(cls, name: str, content: bytes) -> Record:
        return cls(name, len(content), content)

    @property
    def is_wide(self) -> bool:
        """Whether it needs a Zip64 field."""
        return max(self.size, self.header) >= IN_EXTRA

    @property
    def flags(self) -> int:
        return _IN_UTF_8 | (HAS_DESCRIPTOR if self.size else 0)

    @property
    def crc(self) -> int:
        return zlib.crc32(self.content or b"")

    @property
    def descriptor(self) -> bytes:
        """The data descriptor, which follows the content."""
        form = DESCRIPTOR_64 if self.is_wide else DESCRIPTOR
        return form.pack(b"PK\x07\x08", self.crc, self.size, self.size) if self.size else b""

    def wide(self, packed: int) -> bytes:
        """The Zip64 field, empty if none is needed. It gives `packed` as the compressed size."""
        size, header = self.size, self.header
        numbers = [*((size, packed) if size >= IN_EXTRA else ()), *((header,) if header >= IN_EXTRA else ())]
        return struct.pack(f"<2H{len(numbers)}Q", ZIP64, 8 * len(numbers), *numbers) if numbers else b""


class Archive:
    """A new archive without the contents that are written later.

    `parts` are all other bytes, with their offsets. `begins` and `checksums` say, by the names of records, where each
    content begins, and its checksum.
    """

    def __init__(self, folder: str, records: Iterable[Record]) -> None:
        self.parts: list[tuple[int, bytes]] = []
        self.begins: dict[str, int] = {}
        self.checksums: dict[str, Checksum] = {}
        self.size = 0
        self._folder = folder
        self._pending = bytearray()
        self._end([self._added(record) for record in records])

    def _added(self, record: Record) -> Record:
        entry = self._header(record)
        self.begins[record.name] = entry.begin
        if record.content is None and record.size:
            self._flush()
            self.size += record.size
        else:
            self._append(record.content or b"")
        self._append(entry.descriptor)
        return entry

    def _header(self, record: Record) -> Record:
        """Write the header of a record, padded so that the content begins at a multiple of the alignment."""
        name = self._path(record).encode()
        entry = record._replace(header=self.size)
        wide = entry.wide(0)  # miniz does not know the compressed size yet
        begin = self.size + LOCAL.size + len(name) + len(wide) + 4
        padding = -begin % ALIGNMENT
        extra = wide + _PADDING + padding.to_bytes(2, "little") + b"Z" * padding
        self._append(LOCAL.pack(SIGNATURE, 0, entry.flags, STORED, 0, 0, 0, 0, 0, len(name), len(extra)))
        self._append(name + extra)
        return entry._replace(begin=begin + padding)

    def _end(self, entries: list[Record]) -> None:
        """Write the directory and the end of the archive."""
        start = self.size
        for entry in entries:
            self._list(entry)
        end, count, length = self.size, len(entries), self.size - start
        self._append(END_64.pack(b"PK\x06\x06", END_64_LENGTH, _MADE_BY, _NEEDED, 0, 0, count, count, length, start))
        self._append(LOCATOR_64.pack(b"PK\x06\x07", 0, end, 1))
        listed = min(count, _MOST_LISTED)
        self._append(END.pack(b"PK\x05\x06", 0, 0, listed, listed, _narrow(length), _narrow(start), 0))
        self._flush()

    def _list(self, entry: Record) -> None:
        """Write the entry of a record in the directory."""
        name, place = self._path(entry).encode(), self.size
        size, wide = _narrow(entry.size), entry.wide(entry.size)
        numbers = (0, 0, 0, entry.crc, size, size, len(name), len(wide), 0, 0, 0, 0, _narrow(entry.header))
        self._append(CENTRAL.pack(b"PK\x01\x02", 0, 0, entry.flags, *numbers) + name + wide)
        if entry.size:
            stop = entry.begin + entry.size
            places = (place + CRC_IN_CENTRAL, stop + CRC_IN_DESCRIPTOR)
            self.checksums[entry.name] = Checksum(entry.name, entry.begin, stop, entry.crc, places)

    def _path(self, record: Record) -> str:
        return f"{self._folder}/{record.name}"

    def _append(self, content: bytes) -> None:
        self._pending += content
        self.size += len(content)

    def _flush(self) -> None:
        """Make one part of all adjacent bytes."""
        self.parts.append((self.size - len(self._pending), bytes(self._pending)))
        self._pending.clear()


def _narrow(number: int) -> int:
    return min(number, IN_EXTRA)
