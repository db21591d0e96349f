"""The zip archives of torch.save: stored records one after another, then a directory of them.

The checks are stricter than most readers', so that no two readers can see different content. The records fill the file
from its first byte to the directory. The directory agrees with each record's header. No record is compressed,
encrypted, listed twice, or marked as anything but a file. No bytes follow the end.
"""

from __future__ import annotations

import re
import stat
import struct
import zlib
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import NamedTuple

from initctl.errors import shown
from initctl.formats.checkpoint_file import Checksum
from initctl.formats.mistaken.not_checkpoints import zip_of
from initctl.formats.opening import Malformed, read_at
from initctl.formats.torch_save.container import SavedObject
from initctl.formats.torch_save.pickle import LONGEST_PICKLE, MOST_STORAGES, read_pickle

SIGNATURE = b"PK\x03\x04"
LONGEST_DIRECTORY = 100_000_000
"""Bytes."""
_MOST_RECORDS = MOST_STORAGES + 1000
"""Each storage is a record; there are only a few others."""

LOCAL = struct.Struct("<4s5H3I2H")
CENTRAL = struct.Struct("<4s6H3I5H2I")
END = struct.Struct("<4s4H2IH")
END_64 = struct.Struct("<4sQ2H2I4Q")
LOCATOR_64 = struct.Struct("<4sIQI")
DESCRIPTOR = struct.Struct("<4sIII")
DESCRIPTOR_64 = struct.Struct("<4sIQQ")
CRC_IN_LOCAL, CRC_IN_CENTRAL, CRC_IN_DESCRIPTOR = 14, 16, 4
_ENCRYPTED, HAS_DESCRIPTOR = 1, 8
_KNOWN_FLAGS = HAS_DESCRIPTOR | 0b110 | 1 << 11
"""A descriptor, two bits that mean nothing for stored records, and a name in UTF-8. torch refuses some others."""
_NEWEST_ZIP = 63
"""The version of the zip format. Readers refuse a record that needs a later one."""
END_64_LENGTH = END_64.size - 12
"""The length in its own field: without its signature and this field."""
_IS_DIRECTORY = 0x10
"""A file attribute of DOS. Some readers obey it for every system that wrote the entry."""
STORED = 0
IN_EXTRA = 0xFFFFFFFF
"""A size or an offset with this value is in a Zip64 field instead."""
ZIP64 = 1


_LONGEST_TEXT = 100
_NEWEST_ARCHIVE = 10
"""The highest version that torch 2.13 reads: caffe2/serialize/versions.h."""
_ALIGNMENT = ".storage_alignment"
_PARTS_OF_AN_ID = 5
"""The parts of a storage's id: its kind, type, key, device and size."""
_OTHER_ZIP = "is a zip archive that torch.save did not write", "save a model's state_dict() with torch.save"
_STORAGES = "data/"
_READ_BY_TORCH = ("data.pkl", "version", "byteorder", ".format_version", _ALIGNMENT, "constants.pkl")
"""Records that torch looks for."""


class _Listed(NamedTuple):
    """A record as the directory lists it: `header` is the offset of its header, `place` that of its CRC-32."""

    header: int
    name: str
    flags: int
    method: int
    attributes: int
    crc: int
    size: int
    place: int


class _Window:
    """Reads parts of a file, and always some bytes ahead: many records are short and follow one another."""

    def __init__(self, descriptor: int, ahead: int) -> None:
        self._descriptor = descriptor
        self._ahead = ahead
        self._start = 0
        self._content = b""

    def read(self, length: int, offset: int) -> bytes:
        """`length` bytes from `offset`, or fewer if the file ends before."""
        begin = offset - self._start
        if not 0 <= begin <= len(self._content) - length:
            self._content = read_at(self._descriptor, max(length, self._ahead), offset)
            self._start, begin = offset, 0
        return self._content[begin : begin + length]


def read_saved(descriptor: int, start: int, stop: int) -> SavedObject:
    """The saved object in the archive from byte `start` to `stop` of a file. Raises `Malformed`."""
    records = read_archive(descriptor, start, stop)
    if "version" not in records:
        raise Malformed("has no version record", _ANEW)
    order = _text(descriptor, records["byteorder"]) if "byteorder" in records else "little"
    if order != "little":
        hint = "load it and save it again on a little-endian machine" if order == "big" else None
        raise Malformed(f"its byte order is {shown(order)}, not little", hint)
    version = _number(descriptor, records["version"])
    if not 0 < version <= _NEWEST_ARCHIVE:
        raise Malformed(f"has version {version} of torch's format, which is not known")
    if _ALIGNMENT in records:
        _number(descriptor, records[_ALIGNMENT])
    pickle = read_pickle(read_record(descriptor, records["data.pkl"], at_most=LONGEST_PICKLE))
    if any(type(ref.id) is not tuple or len(ref.id) != _PARTS_OF_AN_ID for ref in pickle.storages):
        raise Malformed("its pickle names a storage in an unknown way")
    storages = {
        name.removeprefix(_STORAGES): (record.start, record.stop)
        for name, record in records.items()
        if name.startswith(_STORAGES)
    }
    has_checksums = any(record.value for record in records.values())  # torch can leave them out
    checksums = tuple(records.values()) if has_checksums else ()
    metadata = {"archive_version": str(version)}
    return SavedObject(pickle, records["data.pkl"].start, storages, checksums, metadata)


def read_record(descriptor: int, record: Checksum, *, at_most: int) -> bytes:
    """The content of a record. Raises `Malformed` if its checksum does not match, unless a patch was interrupted."""
    if record.stop - record.start > at_most:
        raise Malformed(f"{record.name}: is larger than {at_most:,} bytes")
    content = read_at(descriptor, record.stop - record.start, record.start)
    if record.value and not record.unfinished and zlib.crc32(content) != record.value:
        raise Malformed(f"{record.name}: is damaged: its CRC-32 does not match", _ANEW)
    return content


def _number(descriptor: int, record: Checksum) -> int:
    """The number that a record consists of. Raises `Malformed`."""
    text = _text(descriptor, record)
    if not text.isdecimal():
        raise Malformed(f"{record.name}: is not a number")
    return int(text)


def _text(descriptor: int, record: Checksum) -> str:
    return read_record(descriptor, record, at_most=_LONGEST_TEXT).decode("ascii", "replace").strip()


def read_archive(descriptor: int, start: int, stop: int) -> dict[str, Checksum]:
    """The records of the archive from byte `start` to `stop` of a file, by their names below its only folder.

    Raises `Malformed`.
    """
    first, last, count = _directory(descriptor, start, stop)
    if count > _MOST_RECORDS:
        raise Malformed(f"has more than {_MOST_RECORDS:,} records")
    listed = list(islice(_entries(read_at(descriptor, last - first, first), start, first), count + 1))
    if len(listed) != count:
        raise Malformed("the number of records in its directory is wrong")
    _check_torch([entry.name for entry in listed])
    folder = listed[0].name.partition("/")[0]
    listed.sort()
    window = _Window(descriptor, _FAR_AHEAD if first - start < count * _SHORT else _AHEAD)
    records: dict[str, Checksum] = {}
    reached = start
    for entry, end in zip(listed, [*(entry.header for entry in listed[1:]), first], strict=True):
        if entry.flags & ~_KNOWN_FLAGS or entry.method != STORED or entry.attributes:
            _check_stored(entry)
        if entry.header != reached:
            raise Malformed(f"{shown(entry.name)}: does not begin where the record before it ends")
        record = _record(window, entry, end, folder)
        if record.name in records:
            raise Malformed(f"{shown(entry.name)}: is listed twice")
        records[record.name] = record
        reached = end
    _check_cases(records)
    return records


def _check_cases(names: Iterable[str]) -> None:
    """Raise `Malformed` if torch could take one of the records `names` for another: it ignores the case of letters."""
    found = {name: name for name in _READ_BY_TORCH}
    for name in names:
        folded = name.encode().lower().decode()  # of ASCII alone, like torch
        own = _STORAGES + name[len(_STORAGES) :] if folded.startswith(_STORAGES) else name
        if (other := found.setdefault(folded, own)) != name:
            raise Malformed(f"{shown(name)}: torch takes this name for {shown(other)}")


def _check_torch(names: Sequence[str]) -> None:
    """Raise `Malformed` if torch.save did not write the archive with the records `names`."""
    inner = {name.partition("/")[2] for name in names}
    if "data.pkl" not in inner or "constants.pkl" in inner:
        raise Malformed(*(zip_of(names) or _OTHER_ZIP))


def _directory(descriptor: int, start: int, stop: int) -> tuple[int, int, int]:
    """The offsets at which the directory begins and ends, and the number of records that it lists."""
    if stop - start < END.size:
        raise Malformed("is truncated", _ANEW)
    signature, *numbers, comment = END.unpack(read_at(descriptor, END.size, stop - END.size))
    if signature != b"PK\x05\x06" or comment:
        raise Malformed("does not end like a zip archive", _ANEW)
    *disks, here, count, size, offset = numbers
    end = stop - END.size
    locator = read_at(descriptor, LOCATOR_64.size, end - LOCATOR_64.size) if end - start >= LOCATOR_64.size else b""
    if locator.startswith(b"PK\x06\x07"):
        _, disk, place, parts = LOCATOR_64.unpack(locator)
        end -= LOCATOR_64.size + END_64.size
        if start + place != end:
            raise Malformed("its Zip64 end is not at the offset given for it")
        signature, length, _, _, *wide_disks, here, wide, wide_size, wide_offset = END_64.unpack(
            read_at(descriptor, END_64.size, end)
        )
        narrow = ((count, 0xFFFF, wide), (size, IN_EXTRA, wide_size), (offset, IN_EXTRA, wide_offset))
        if (signature, length) != (b"PK\x06\x06", END_64_LENGTH) or any(
            number not in (limit, full) for number, limit, full in narrow
        ):
            raise Malformed("its zip end and its Zip64 end disagree")
        disks += [disk, parts - 1, *wide_disks]
        count, size, offset = wide, wide_size, wide_offset
    if any(disks) or here != count:
        raise Malformed(_IN_SEVERAL)
    if size > LONGEST_DIRECTORY:
        raise Malformed(f"its directory is longer than {LONGEST_DIRECTORY:,} bytes")
    if start + offset + size != end:
        raise Malformed("its directory is not at the offset given for it", _ANEW)
    return start + offset, end, count


def _entries(directory: bytes, start: int, place: int) -> Iterator[_Listed]:
    """The entries of `directory`, which is at offset `place` of the file, for an archive that begins at `start`."""
    reached = 0
    while reached < len(directory):
        if len(directory) - reached < CENTRAL.size:
            raise Malformed("its directory is truncated")
        fields = CENTRAL.unpack_from(directory, reached)
        signature, _, version, flags, method, _, _, crc, packed, size, n_name, n_extra, n_comment, *last = fields
        disk, _, attributes, header = last
        begin = reached + CENTRAL.size
        end = begin + n_name + n_extra + n_comment
        if signature != b"PK\x01\x02" or end > len(directory):
            raise Malformed("its directory is damaged or truncated")
        name = _decoded(directory[begin : begin + n_name])
        if disk:
            raise Malformed(_IN_SEVERAL)
        if IN_EXTRA in (size, packed, header):
            extra = directory[begin + n_name : begin + n_name + n_extra]
            size, packed, header = _wide(name, extra, (size, packed, header))
        if method == STORED and size != packed:
            raise Malformed(f"{shown(name)}: has two different sizes")
        if version & 0xFF > _NEWEST_ZIP:
            raise Malformed(f"{shown(name)}: has an unknown version of the zip format")
        yield _Listed(start + header, name, flags, method, attributes, crc, size, place + reached + CRC_IN_CENTRAL)
        reached = end


def _wide(name: str, extra: bytes, numbers: tuple[int, int, int]) -> tuple[int, int, int]:
    """`numbers`; those that do not fit into 32 bits are read from the Zip64 field."""
    missing = sum(number == IN_EXTRA for number in numbers)
    while len(extra) >= 4:
        kind, length = struct.unpack_from("<2H", extra)
        content, extra = extra[4 : 4 + length], extra[4 + length :]
        if kind == ZIP64 and len(content) >= 8 * missing:
            wide = iter(struct.unpack_from(f"<{missing}Q", content))
            size, packed, header = (next(wide) if number == IN_EXTRA else number for number in numbers)
            return size, packed, header
    raise Malformed(f"{shown(name)}: has no Zip64 field, but needs one")


def _check_stored(entry: _Listed) -> None:
    if entry.flags & _ENCRYPTED:
        raise Malformed(f"{shown(entry.name)}: is encrypted")
    if entry.flags & ~_KNOWN_FLAGS:
        raise Malformed(f"{shown(entry.name)}: has unknown flags")
    if entry.method != STORED:
        raise Malformed(f"{shown(entry.name)}: is compressed, which torch.save never does", _RESAVE)
    if entry.attributes & _IS_DIRECTORY or stat.S_IFMT(entry.attributes >> 16) not in (0, stat.S_IFREG):
        raise Malformed(f"{shown(entry.name)}: is marked as a directory, a link or the like, not as a regular file")


def _record(window: _Window, entry: _Listed, end: int, folder: str) -> Checksum:
    """The content of `entry`, by its name below `folder`. The record must fill the file up to `end`."""
    encoded = entry.name.encode()
    content = window.read(LOCAL.size + len(encoded), entry.header)
    if len(content) < LOCAL.size:
        raise Malformed(f"{shown(entry.name)}: is beyond the end of the file", _ANEW)
    signature, _, flags, method, _, _, crc, _, size, n_name, n_extra = LOCAL.unpack_from(content)
    is_same = signature == SIGNATURE and flags == entry.flags and n_name == len(encoded)
    if not is_same or method != STORED or content[LOCAL.size :] != encoded:
        raise Malformed(f"{shown(entry.name)}: its header and the directory disagree")
    begin = entry.header + LOCAL.size + n_name + n_extra
    stop = begin + entry.size
    places, values = [entry.place], [entry.crc]
    if flags & HAS_DESCRIPTOR:
        places.append(stop + CRC_IN_DESCRIPTOR)
        values.append(_described(window, entry, stop, end))
    elif end != stop or size not in (entry.size, IN_EXTRA):
        raise Malformed(f"{shown(entry.name)}: {_DISAGREE}")
    if crc or not flags & HAS_DESCRIPTOR:
        places.append(entry.header + CRC_IN_LOCAL)
        values.append(crc)
    unfinished = values.count(values[-1]) < len(values) and _is_unfinished(entry, values)
    return Checksum(_below(folder, entry.name), begin, stop, values[-1], tuple(places), unfinished)


def _described(window: _Window, entry: _Listed, stop: int, end: int) -> int:
    """The CRC-32 in the descriptor between the content of `entry` and the next record."""
    form = _DESCRIPTORS.get(end - stop)
    content = window.read(form.size, stop) if form else b""
    if not form or len(content) < form.size:
        raise Malformed(f"{shown(entry.name)}: {_DISAGREE}")
    signature, crc, packed, size = form.unpack(content)
    if signature != b"PK\x07\x08" or packed != entry.size or size != entry.size:
        raise Malformed(f"{shown(entry.name)}: {_DISAGREE}")
    return int(crc)


def _is_unfinished(entry: _Listed, values: Sequence[int]) -> bool:
    """True, since `values` of one checksum differ: a patch was interrupted. Raises `Malformed` if that cannot be.

    A patch leaves zeros in bytes of all values but the last.
    """
    own = values[-1].to_bytes(4, "little") * len(values)
    if any(byte not in (0, right) for byte, right in zip(struct.pack(f"<{len(values)}I", *values), own, strict=True)):
        raise Malformed(f"{shown(entry.name)}: {_DISAGREE}")
    return True


def _decoded(name: bytes) -> str:
    try:
        return name.decode()
    except UnicodeDecodeError:
        raise Malformed(f"{shown(name.decode(errors='replace'))}: its name is not UTF-8") from None


def _below(folder: str, name: str) -> str:
    """`name` relative to the only `folder` of an archive. Raises `Malformed` if it leads out of it."""
    first, slash, rest = name.partition("/")
    if not slash or first != folder or _LEADS_OUT.search(rest):
        raise Malformed(f"{shown(name)}: is not a name below {shown(folder)}/")
    return rest


_LEADS_OUT = re.compile(r"[\\\0]|(?:\A|(?<=/))\.{0,2}(?=/|\Z)")
"""A character that is not allowed in names, or a part of a path that is empty, `.` or `..`."""
_DESCRIPTORS = {form.size: form for form in (DESCRIPTOR, DESCRIPTOR_64)}
_SHORT, _AHEAD, _FAR_AHEAD = 1 << 12, 1 << 9, 1 << 16
"""Bytes: the size of a short record with its header; and the bytes read ahead for long records, and for short ones."""
_IN_SEVERAL = "is one part of a multi-part archive"
_DISAGREE = "its size or checksum differs from the directory's"
_ANEW = "if the download was truncated, download the file again"
_RESAVE = "load it and save it with torch.save"
