"""What is strange and right is read; what is right but damaged is found before anything is written."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
import torch

import initctl
from initctl.errors import InputError
from initctl.formats import read_checkpoint
from tests.broken.case import Oddity, name_of
from tests.broken.torch_faults import REAL, RECORDS
from tests.broken.torch_oddities import ODDITIES
from tests.formats.torch_save.rewritten import Record, records_of, repacked, saved

if TYPE_CHECKING:
    from pathlib import Path


def test_no_name_stands_for_two_cases():
    assert len({oddity.name for oddity in ODDITIES}) == len(ODDITIES)


@pytest.mark.parametrize("oddity", ODDITIES, ids=name_of)
def test_a_strange_file_is_read(oddity: Oddity, tmp_path: Path):
    checkpoint = read_checkpoint(oddity.write(tmp_path))
    assert len(checkpoint.tensors) == oddity.tensors
    for tensor in checkpoint.tensors:
        for block in tensor.blocks:
            assert block.offset + block.extent * tensor.dtype.bits // 8 <= checkpoint.files[0].size


@pytest.mark.parametrize(
    "oddity",
    [o for o in ODDITIES if o.name.endswith(("-whole-module", "-zipfile", "-zip64", "P12-no-checksums"))],
    ids=name_of,
)
def test_torch_loads_what_is_written_from_a_strange_file(oddity: Oddity, tmp_path: Path):
    path, out = oddity.write(tmp_path), tmp_path / "out" / "model.pt"
    out.parent.mkdir()
    initctl.apply(path, out, rules=["*w*=constant:val=3"])
    assert read_checkpoint(out).tensors == read_checkpoint(path).tensors
    loaded = torch.load(out, weights_only=oddity.name[:3] != "P06")
    if isinstance(loaded, dict):
        assert torch.equal(loaded["w"], torch.full((2, 3), 3.0))


@pytest.mark.parametrize("oddity", [o for o in ODDITIES if o.name.startswith("P48-")], ids=name_of)
def test_what_was_saved_on_a_gpu_is_filled_without_one_and_stays_what_it_was(oddity: Oddity, tmp_path: Path):
    path, out = oddity.write(tmp_path), tmp_path / "out.pt"
    device = re.search(rb"(?:cuda|xpu):\d", path.read_bytes())[0]
    initctl.apply(path, out, rules=["w=constant:val=3"])
    assert device in out.read_bytes()
    assert len(out.read_bytes()) == len(path.read_bytes())
    assert torch.equal(torch.load(out, map_location="cpu")["w"], torch.full((2, 3), 3.0))


def test_a_file_without_checksums_is_written_without_them(tmp_path: Path):
    (oddity,) = (o for o in ODDITIES if o.name == "P12-no-checksums")
    path = oddity.write(tmp_path)
    assert all(checksum.start == checksum.stop for checksum in read_checkpoint(path).files[0].checksums)
    initctl.apply(path, tmp_path / "out.pt", rules=["w=ones"])
    assert (tmp_path / "out.pt").read_bytes() == path.read_bytes()


@pytest.mark.parametrize("record", ["data/0", "data/1", ".format_version"])
def test_a_damaged_record_that_is_kept_is_found_before_anything_is_written(record: str, tmp_path: Path):
    real = saved({"w": torch.ones(2, 3)[:1], "v": torch.ones(5), "u": torch.ones(2)})
    begin = next(c.start for c in table_of(real, tmp_path) if c.name == record)
    path = tmp_path / "model.pt"
    path.write_bytes(real[:begin] + bytes([real[begin] ^ 1]) + real[begin + 1 :])
    before = path.read_bytes()
    read_checkpoint(path)
    for output in ({"output": tmp_path / "out.pt"}, {"in_place": True}):
        with pytest.raises(InputError) as raised:
            initctl.apply(path, rules=["w=zeros", "u=zeros"], **output)
        (problem,) = raised.value.problems
        assert problem.code == "archive.checksum"
        assert f"model.pt: {record}: is damaged: its CRC-32 is " in problem.message
    assert [p.name for p in tmp_path.iterdir()] == ["model.pt"]
    assert path.read_bytes() == before


def test_a_damaged_record_that_is_overwritten_as_a_whole_is_mended(tmp_path: Path):
    path = tmp_path / "model.pt"
    path.write_bytes(repacked(REAL, {"data/0": Record("archive/data/0", RECORDS["data/0"].content, crc=7)}))
    initctl.apply(path, tmp_path / "out.pt", rules=["w=zeros"])
    assert records_of((tmp_path / "out.pt").read_bytes())["data/0"].content == bytes(24)


def table_of(content: bytes, folder: Path):
    (folder / "model.pt").write_bytes(content)
    return read_checkpoint(folder / "model.pt").files[0].checksums
