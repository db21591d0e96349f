"""Archives: the table of records agrees with the zipfile module's, and holds every place of every checksum."""

from __future__ import annotations

import os
import struct
import zipfile
import zlib
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
import torch

import initctl
from initctl.formats.opening import Malformed
from initctl.formats.torch_save.archive import read_archive, read_record
from tests.broken.torch_faults import REAL, RECORDS
from tests.formats.torch_save.rewritten import Record, packed, saved

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from initctl.formats import Checksum

MANY = {f"layer.{i}": torch.arange(float(i)) for i in range(1, 40)}


@contextmanager
def read(path: Path, start: int = 0, stop: int | None = None) -> Iterator[tuple[int, dict[str, Checksum]]]:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        yield descriptor, read_archive(descriptor, start, path.stat().st_size if stop is None else stop)
    finally:
        os.close(descriptor)


@pytest.fixture(params=["stream", "path", "unaligned", "zipfile", "wide", "old"])
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A real archive, or one that another writer made of its records."""
    path = tmp_path / "a model.pt"
    match request.param:
        case "stream":
            path.write_bytes(saved(MANY))
        case "path":
            torch.save(MANY, path)
        case "unaligned":
            path.write_bytes(packed(RECORDS.values()))
        case "zipfile":
            with zipfile.ZipFile(path, "w") as archive:
                for record in RECORDS.values():
                    archive.writestr(str(record.name), record.content)
        case "wide":
            records = [Record(held.name, held.content, wide=True) for held in RECORDS.values()]
            path.write_bytes(packed(records, zip64_end=True))
        case "old":
            torch.save(MANY, path, pickle_protocol=4)
    return path


def test_records_are_those_that_the_zipfile_module_finds(path: Path):
    content = path.read_bytes()
    with read(path) as (descriptor, found), zipfile.ZipFile(path) as library:
        infos = library.infolist()
        assert set(found) == {info.filename.partition("/")[2] for info in infos}
        for info in infos:
            name = info.filename.partition("/")[2]
            record = found[name]
            assert record.name == name
            assert record.value == info.CRC
            assert content[record.start : record.stop] == library.read(info)
            assert read_record(descriptor, found[name], at_most=record.stop - record.start) == library.read(info)


def test_a_checksum_stands_at_each_of_its_places_and_nowhere_else_in_the_headers(path: Path):
    content = path.read_bytes()
    with read(path) as (_, found):
        for record in found.values():
            assert record.value == zlib.crc32(content[record.start : record.stop])
            assert len(set(record.places)) == len(record.places) >= 2
            for place in record.places:
                assert not record.start <= place < record.stop
                assert content[place : place + 4] == struct.pack("<I", record.value)
        kept = bytearray(content)
        for record in found.values():
            for place in record.places:
                kept[place : place + 4] = bytes(4)
            kept[record.start : record.stop] = bytes(record.stop - record.start)
        for record in found.values():
            assert record.value == 0 or struct.pack("<I", record.value) not in kept


def test_tensors_are_aligned_as_torch_aligns_them(tmp_path: Path):
    torch.save(MANY, tmp_path / "m.pt")
    with read(tmp_path / "m.pt") as (_, found):
        assert {r.start % 64 for name, r in found.items() if name.startswith("data/")} == {0}


def test_an_archive_in_the_middle_of_a_file_is_read_where_it_lies(tmp_path: Path):
    (tmp_path / "m").write_bytes(b"before" + REAL + b"after")
    with read(tmp_path / "m", 6, 6 + len(REAL)) as (descriptor, found):
        for name, record in RECORDS.items():
            assert read_record(descriptor, found[name], at_most=1000) == record.content


def test_a_record_is_read_only_up_to_a_length(tmp_path: Path):
    (tmp_path / "m").write_bytes(REAL)
    with read(tmp_path / "m") as (descriptor, found), pytest.raises(Malformed, match="data/0: is larger than 23 bytes"):
        read_record(descriptor, found["data/0"], at_most=23)


@pytest.mark.parametrize("length", range(0, len(REAL), 7))
def test_an_archive_that_breaks_off_is_refused(length: int, tmp_path: Path):
    (tmp_path / "m").write_bytes(REAL[:length])
    with pytest.raises(Malformed), read(tmp_path / "m"):
        pass


def test_a_record_that_has_two_sizes_in_the_directory_is_refused(tmp_path: Path):
    """Everything else agrees with one of them."""
    sizes = REAL.index(b"PK\x01\x02") + 20
    (size,) = struct.unpack_from("<I", REAL, sizes)
    content = bytearray(REAL)
    struct.pack_into("<I", content, sizes, size + 1)
    (tmp_path / "m").write_bytes(content)
    with pytest.raises(Malformed, match="has two different sizes"), read(tmp_path / "m"):
        pass


def test_what_is_written_has_right_checksums_and_all_other_bytes(path: Path, tmp_path: Path):
    out = tmp_path / "out.pt"
    initctl.apply(path, out, rules=["*=constant:val=2"])
    before, after = path.read_bytes(), out.read_bytes()
    assert len(before) == len(after)
    with zipfile.ZipFile(out) as library:
        assert library.testzip() is None
    changed = {i for i in range(len(before)) if before[i] != after[i]}
    with read(path) as (_, found):
        for name, record in found.items():
            if name.startswith("data/"):
                changed -= set(range(record.start, record.stop))
                for place in record.places:
                    changed -= set(range(place, place + 4))
    assert not changed


def test_an_archive_of_more_than_4_gib_is_read(tmp_path: Path):
    """Written by torch, with a hole in place of the numbers."""
    path = tmp_path / "large.pt"
    size = (4 << 30) + 64
    with torch.serialization.skip_data():
        torch.save({"w": torch.empty(size, dtype=torch.uint8), "v": torch.ones(3)}, path)
    with read(path) as (_, found), zipfile.ZipFile(path) as library:
        assert found["data/0"].stop - found["data/0"].start == size
        info = library.getinfo("large/data/1")
        assert found["data/1"].start > 4 << 30
        assert found["data/1"].start - info.header_offset >= 30
        assert max(found["data/0"].places) > size
        for name, record in found.items():
            assert record.value == library.getinfo(f"large/{name}").CRC
    assert [(t.name, t.shape) for t in initctl.inspect(path).tensors] == [("w", (size,)), ("v", (3,))]
    assert path.stat().st_blocks * 512 < 1 << 20


def test_values_behind_4_gib_are_patched_and_so_are_both_checksums(tmp_path: Path):
    """Only a Zip64 field says where their record begins."""
    path = tmp_path / "large.pt"
    with torch.serialization.skip_data():
        torch.save({"w": torch.empty((4 << 30) + 64, dtype=torch.uint8), "v": torch.ones(3)}, path)
    with read(path) as (_, found), path.open("r+b") as stream:
        record = found["data/1"]
        for place in record.places:  # torch left it out, as it did the numbers
            stream.seek(place)
            stream.write(struct.pack("<I", zlib.crc32(bytes(12))))
    initctl.apply(path, in_place="patch", rules=["v=constant:val=2"])
    with zipfile.ZipFile(path) as library, path.open("rb") as stream:
        assert library.getinfo("large/data/1").header_offset > 4 << 30
        content = library.read("large/data/1")  # it compares the checksum in the directory
        stream.seek(record.stop)
        assert stream.read(8) == struct.pack("<4sI", b"PK\x07\x08", zlib.crc32(content))
    assert torch.load(path, mmap=True)["v"].tolist() == [2, 2, 2]
    assert path.stat().st_blocks * 512 < 1 << 20


FIELDS = {
    "which disk a record begins on": (b"PK\x01\x02", 34),
    "how many disks there are": (b"PK\x06\x07", 16),
    "how long the Zip64 end is": (b"PK\x06\x06", 4),
}
"""Numbers that torch and zipfile look at and that say nothing here: the signature before each, and how far it is."""


@pytest.mark.parametrize("field", FIELDS)
def test_numbers_that_make_torch_refuse_an_archive_are_looked_at(tmp_path: Path, field: str):
    torch.save(MANY, tmp_path / "m.pt")
    content = bytearray((tmp_path / "m.pt").read_bytes())
    signature, distance = FIELDS[field]
    content[content.rindex(signature) + distance] ^= 8
    (tmp_path / "m.pt").write_bytes(content)
    with pytest.raises(RuntimeError):
        torch.load(tmp_path / "m.pt")
    with pytest.raises(Malformed), read(tmp_path / "m.pt"):
        pass
