"""What goes around the tensors of a file of torch.save: byte for byte what torch writes."""

from __future__ import annotations

import collections
import io
import pickletools
import struct
import zipfile
from typing import TYPE_CHECKING, Any

import pytest
import torch

import initctl
from initctl.dtypes import BY_NAME
from initctl.formats.torch_save.archive import read_archive
from initctl.formats.writing.archive import Archive, Record
from initctl.formats.writing.state_dict import Named, state_dict
from initctl.formats.writing.torch_save import TORCH
from initctl.tensors import TensorSpec
from tests.execution.torch_files import bits

if TYPE_CHECKING:
    from pathlib import Path

    from initctl.formats.writing.formats import Layout

ID_DIGITS = 20
"""Of the half of the id in which torch has a hash that is another one with each C++ library."""


def spec(name: str, dtype: str, *shape: int) -> TensorSpec:
    return TensorSpec.contiguous(name, BY_NAME[dtype], shape, "", 0)


def of(tensors: dict[str, torch.Tensor]) -> list[TensorSpec]:
    return [spec(name, str(tensor.dtype).removeprefix("torch."), *tensor.shape) for name, tensor in tensors.items()]


def laid_out(file: str, tensors: list[TensorSpec], folder: Path) -> Layout:
    from safetensors.torch import save_file

    save_file({}, folder / "nothing.safetensors")
    return TORCH.layout(file, tensors, initctl.inspect(folder / "nothing.safetensors"))


def pickled(path: Path) -> bytes:
    with zipfile.ZipFile(path) as archive:
        return archive.read(f"{path.stem}/data.pkl")


ALL = (
    "bool", "uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64", "float8_e4m3fn", "float8_e5m2",
    "float8_e4m3fnuz", "float8_e5m2fnuz", "float8_e8m0fnu", "float16", "bfloat16", "float32", "float64", "complex32",
    "complex64", "complex128",
)  # fmt: skip
"""All dtypes but quantized ones, and those whose elements are smaller than a byte."""

DICTS = {
    "no tensor": {},
    "one tensor": {"w": torch.zeros(2, 3)},
    "every dtype": {name: bits(getattr(torch, name), 3, 2, seed=3) for name in ALL},
    "every number of dims": {f"{n} dims": torch.zeros((2,) * n) for n in range(7)},
    "sizes of one, two, four bytes": {str(size): torch.zeros(size, 1) for size in (0, 255, 256, 65535, 65536)},
    "more items than are set at once": {f"layers.{n}.w": torch.zeros(1) for n in range(2001)},
    "just as many items as are set at once": {f"layers.{n}.w": torch.zeros(1) for n in range(1000)},
    "odd names": {
        "": torch.zeros(1),
        "é\n\u2028": torch.zeros(1),
        "x" * 300: torch.zeros(1),
        "a\ud800": torch.zeros(1),
    },
}


@pytest.mark.parametrize("kind", DICTS)
def test_the_pickle_is_the_one_that_torch_writes(tmp_path: Path, kind: str):
    tensors = DICTS[kind]
    torch.save(collections.OrderedDict(tensors), tmp_path / "net.pt")
    entries = [Named(tensor.name, tensor, str(number)) for number, tensor in enumerate(of(tensors))]
    assert state_dict(entries) == pickled(tmp_path / "net.pt")


def test_tied_tensors_are_pickled_as_in_the_state_dict_of_a_model(tmp_path: Path):
    model = torch.nn.ModuleDict({"a": torch.nn.Linear(3, 3), "b": torch.nn.Linear(3, 3)})
    model["b"].weight = model["a"].weight
    torch.save(collections.OrderedDict(model.state_dict()), tmp_path / "net.pt")
    tensors = {tensor.name: tensor for tensor in of(dict(model.state_dict()))}
    storages = {"a.weight": "0", "a.bias": "1", "b.weight": "0", "b.bias": "2"}
    assert state_dict(Named(name, tensors[name], storages[name]) for name in storages) == pickled(tmp_path / "net.pt")


def test_numbers_of_eight_bytes_are_pickled_as_python_does():
    pickle = state_dict([Named("w", spec("w", "uint8", 2**31, 2**32, 2**40 - 1), "0")])
    numbers = {argument for _, argument, _ in pickletools.genops(pickle) if isinstance(argument, int)}
    assert {2**31, 2**32, 2**40 - 1, 2**31 * 2**32 * (2**40 - 1)} <= numbers


def folder_in(stream: Any) -> str:
    with zipfile.ZipFile(stream) as archive:
        return archive.namelist()[0].partition("/")[0]


@pytest.mark.parametrize("file", ["net.pt", "two.dots.bin", "noending", "é.pt", "back\\slash.pt"])
def test_the_folder_in_the_archive_is_called_as_torch_calls_it(tmp_path: Path, file: str):
    content = b"".join(part for _, part in laid_out(file, [], tmp_path).parts)
    torch.save({}, tmp_path / file)
    assert folder_in(io.BytesIO(content)) == folder_in(tmp_path / file)


@pytest.mark.parametrize("file", [".pt", "..pt", "...pt"])
def test_the_folder_in_the_archive_has_a_name_where_the_file_has_none(tmp_path: Path, file: str):
    content = b"".join(part for _, part in laid_out(file, [], tmp_path).parts)
    assert folder_in(io.BytesIO(content)) == "archive"


@pytest.mark.parametrize(
    "sizes",
    [
        (3, 2**30 + 5, 7, 2**30 + 6, 2),
        (2**30 - 1, 1, 2**30, 0, 5),  # 4 bytes below the limit, and behind it; at the limit; empty
        (2**29, 2**28, 2**27, 2**26, 2**26 - 300, 9),  # in sum about the limit
    ],
)
def test_what_needs_zip64_is_laid_out_as_torch_lays_it_out(tmp_path: Path, sizes: tuple[int, ...]):
    tensors = {f"{number}": torch.empty(size) for number, size in enumerate(sizes)}  # takes no memory
    with torch.serialization.skip_data():
        torch.save(collections.OrderedDict((f"t{n}", t) for n, t in tensors.items()), tmp_path / "net.pt")
    layout = laid_out("net.pt", [spec(f"t{n}", "float32", size) for n, size in enumerate(sizes)], tmp_path)
    assert layout.size == (tmp_path / "net.pt").stat().st_size
    with (tmp_path / "net.pt").open("rb") as stream:
        for place, part in layout.parts:
            stream.seek(place)
            assert _without_sums(stream.read(len(part))) == _without_sums(part)


def _without_sums(part: bytes) -> bytes:
    """Without the id and all CRC-32s, which torch leaves out with the data."""
    found = bytearray(part)
    for signature, at in ((b"PK\x07\x08", 4), (b"PK\x01\x02", 16)):
        begin = found.find(signature)
        while begin >= 0:
            found[begin + at : begin + at + 4] = bytes(4)
            begin = found.find(signature, begin + 4)
    begin = found.find(b".data/serialization_id")
    if begin >= 0:
        name, extra = struct.unpack_from("<2H", found, begin - len("net/") - 4)
        begin += name - len("net/") + extra
        found[begin : begin + 2 * ID_DIGITS] = bytes(2 * ID_DIGITS)
    return bytes(found)


def test_python_and_the_reader_here_find_the_records_of_an_archive_beyond_4_gib(tmp_path: Path):
    sizes = {"data/0": 3, "data/1": 2**32 + 20, "data/2": 0, "data/3": 2**32 - 1, "data/4": 8}
    text = Record("data.pkl", 2, b"N.")
    archive = Archive("net", [text, *(Record(name, size) for name, size in sizes.items())])
    with (tmp_path / "net.pt").open("wb") as stream:
        stream.truncate(archive.size)
        for place, part in archive.parts:
            stream.seek(place)
            stream.write(part)
    with zipfile.ZipFile(tmp_path / "net.pt") as read:
        assert {info.filename: info.file_size for info in read.infolist()} == {
            "net/data.pkl": 2,
            **{f"net/{name}": size for name, size in sizes.items()},
        }
    with (tmp_path / "net.pt").open("rb") as stream:
        records = read_archive(stream.fileno(), 0, archive.size)
    assert {name: (r.start, r.stop - r.start) for name, r in records.items()} == {
        name: (archive.begins[name], size) for name, size in {"data.pkl": 2, **sizes}.items()
    }
    assert all(begin % 64 == 0 for begin in archive.begins.values())


def test_more_records_than_16_bits_count_are_all_found(tmp_path: Path):
    archive = Archive("net", [Record("data.pkl", 2, b"N."), *(Record(f"data/{n}", 0) for n in range(2**16))])
    content = b"".join(part for _, part in archive.parts)
    assert len(content) == archive.size
    assert len(zipfile.ZipFile(io.BytesIO(content)).infolist()) == 2**16 + 1
