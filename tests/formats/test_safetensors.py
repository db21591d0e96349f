"""One safetensors file: the table is what the library and torch say the file holds."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from initctl.errors import ConflictError, InputError
from initctl.formats import Checkpoint, read_checkpoint, safetensors
from initctl.formats.safetensors import read_table
from tests.formats.handwritten import TWO_FLOATS, float_file, safetensors_bytes, tensor
from tests.formats.limited import read as read_within_limits

if TYPE_CHECKING:
    from initctl.tensors import TensorSpec

BITS = {
    "BOOL": 8, "U8": 8, "I8": 8, "F8_E5M2": 8, "F8_E4M3": 8, "F8_E8M0": 8, "F8_E4M3FNUZ": 8, "F8_E5M2FNUZ": 8,
    "I16": 16, "U16": 16, "F16": 16, "BF16": 16, "I32": 32, "U32": 32, "F32": 32, "C64": 64, "F64": 64, "I64": 64,
    "U64": 64, "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6,
}  # fmt: skip
"""Every dtype that the format's description lists, with its bits."""

TORCH_DTYPES = [
    torch.bool, torch.uint8, torch.int8, torch.uint16, torch.int16, torch.uint32, torch.int32, torch.uint64,
    torch.int64, torch.float8_e4m3fn, torch.float8_e5m2, torch.float8_e4m3fnuz, torch.float8_e5m2fnuz,
    torch.float8_e8m0fnu, torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.complex64,
]  # fmt: skip


def place(spec: TensorSpec) -> tuple[int, int]:
    return spec.blocks[0].offset, spec.nbytes


def raw_bytes(values: torch.Tensor) -> bytes:
    return values.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()


def assert_holds(checkpoint: Checkpoint, tensors: dict[str, torch.Tensor]) -> None:
    """The table lists exactly `tensors`, and each one's bytes lie where it says."""
    assert {spec.name for spec in checkpoint.tensors} == set(tensors)
    for spec in checkpoint.tensors:
        values = tensors[spec.name]
        content = (Path(checkpoint.directory) / spec.files[0]).read_bytes()
        assert spec.shape == tuple(values.shape)
        assert f"torch.{spec.dtype.name}" == str(values.dtype)
        assert content[spec.blocks[0].offset : spec.blocks[0].offset + spec.nbytes] == raw_bytes(values)


def written(tmp_path: Path, content: bytes) -> Path:
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("dtype", TORCH_DTYPES, ids=str)
def test_every_dtype_that_torch_saves_is_read(tmp_path: Path, dtype: torch.dtype):
    values = torch.arange(48, dtype=torch.uint8).view(2, 3, 8).view(dtype)
    save_file({"w": values}, tmp_path / "w.safetensors")
    assert_holds(read_checkpoint(tmp_path / "w.safetensors"), {"w": values})


@pytest.mark.parametrize(("tag", "bits"), BITS.items())
def test_every_dtype_of_the_format_is_read_with_its_width(tmp_path: Path, tag: str, bits: int):
    path = written(tmp_path, safetensors_bytes({"w": tensor(tag, [4, 2], [0, bits])}, bytes(bits)))
    (spec,) = read_checkpoint(path).tensors
    assert (spec.dtype.tag, spec.dtype.bits, spec.shape, spec.nbytes) == (tag, bits, (4, 2), bits)
    with safe_open(path, framework="numpy") as library:
        assert library.get_slice("w").get_dtype() == tag


def test_a_file_of_many_tensors_is_the_librarys_table(tmp_path: Path):
    torch.manual_seed(0)
    tensors = {
        "scalar": torch.tensor(3.5),
        "empty": torch.empty(0, 7, dtype=torch.bfloat16),
        "flags": torch.tensor([True, False, True]),
        "half": torch.randn(5, 3).half(),
        "conv.weight": torch.randn(4, 2, 3, 3),
        "ünïcode 🙂": torch.randn(2).double(),
    }
    save_file(tensors, tmp_path / "m.safetensors", metadata={"format": "pt", "note": "é"})
    checkpoint = read_checkpoint(str(tmp_path / "m.safetensors"))
    assert_holds(checkpoint, tensors)
    with safe_open(tmp_path / "m.safetensors", framework="pt") as library:
        assert [spec.name for spec in sorted(checkpoint.tensors, key=place)] == list(library.offset_keys())
        assert checkpoint.metadata == {"m.safetensors": library.metadata()}


def test_a_checkpoint_of_one_file_says_what_a_rewrite_replaces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = written(tmp_path, TWO_FLOATS)
    path.chmod(0o640)
    monkeypatch.chdir(tmp_path)
    checkpoint = read_checkpoint("model.safetensors")
    (file,) = checkpoint.files
    status = path.stat()
    assert (checkpoint.path, checkpoint.format, checkpoint.is_directory) == ("model.safetensors", "safetensors", False)
    assert (checkpoint.directory, checkpoint.target) == (str(tmp_path), str(path))
    assert checkpoint.other_files == ()
    assert checkpoint.metadata == {}
    assert (file.name, file.mode, file.size) == ("model.safetensors", 0o640, len(TWO_FLOATS))
    assert tuple(file.identity) == (
        status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
    )  # fmt: skip


def test_tensors_keep_the_order_of_the_header(tmp_path: Path):
    header = {name: tensor(shape=[1], offsets=[4 * at, 4 * at + 4]) for name, at in {"z": 1, "a": 2, "m": 0}.items()}
    checkpoint = read_checkpoint(written(tmp_path, safetensors_bytes(header, bytes(12))))
    assert [spec.name for spec in checkpoint.tensors] == ["z", "a", "m"]


def test_tensors_may_lie_at_odd_offsets(tmp_path: Path):
    header = {"flag": tensor("U8", [1], [0, 1]), "w": tensor("F32", [2], [1, 9])}
    data = bytes(range(9))
    path = written(tmp_path, safetensors_bytes(header, data))
    flag, w = read_checkpoint(path).tensors
    content = path.read_bytes()
    assert content[flag.blocks[0].offset : flag.blocks[0].offset + flag.nbytes] == data[:1]
    assert content[w.blocks[0].offset : w.blocks[0].offset + w.nbytes] == data[1:]


@pytest.mark.parametrize("header", [b"  %b", b"\n\t\r%b", b"%b   ", b"%b\n", b" %b \n\t"])
def test_white_space_around_the_header_is_part_of_it(tmp_path: Path, header: bytes):
    header %= json.dumps({"w": tensor()}).encode()
    path = written(tmp_path, safetensors_bytes(header, b"\x01\x02\x03\x04\x05\x06\x07\x08"))
    (spec,) = read_checkpoint(path).tensors
    assert spec.blocks[0].offset == 8 + len(header)
    assert path.read_bytes()[spec.blocks[0].offset :] == b"\x01\x02\x03\x04\x05\x06\x07\x08"


@pytest.mark.parametrize("length", [123, 123 + 256, 640, 896, 1152, 1408, 8315, 31520])
def test_a_header_whose_length_begins_like_another_format_is_read(tmp_path: Path, length: int):
    """640 is how a pickle begins, 123 and 31520 how JSON does."""
    header = json.dumps({"w": tensor()}).encode().ljust(length)
    (spec,) = read_checkpoint(written(tmp_path, safetensors_bytes(header, bytes(8)))).tensors
    assert (spec.name, spec.blocks[0].offset) == ("w", 8 + length)


@pytest.mark.parametrize(
    ("shape", "nbytes"),
    [([], 4), ([0], 0), ([2, 0], 0), ([2**62, 0], 0), ([0, 2**63], 0), ([1] * 65, 4), ([1] * 1000, 4), ([2, 1, 3], 24)],
)
def test_every_shape_that_the_library_opens_is_read(tmp_path: Path, shape: list[int], nbytes: int):
    path = written(tmp_path, safetensors_bytes({"w": tensor(shape=shape, offsets=[0, nbytes])}, bytes(nbytes)))
    (spec,) = read_checkpoint(path).tensors
    assert (spec.shape, spec.nbytes, spec.numel) == (tuple(shape), nbytes, nbytes // 4)


def test_empty_tensors_lie_between_others(tmp_path: Path):
    header = {
        "b": tensor(shape=[2], offsets=[8, 16]),
        "nothing": tensor(shape=[0], offsets=[8, 8]),
        "a": tensor(shape=[2], offsets=[0, 8]),
        "end": tensor(shape=[3, 0], offsets=[16, 16]),
    }
    checkpoint = read_checkpoint(written(tmp_path, safetensors_bytes(header, bytes(16))))
    assert [spec.nbytes for spec in checkpoint.tensors] == [8, 0, 8, 0]


def test_a_file_without_tensors_is_read(tmp_path: Path):
    checkpoint = read_checkpoint(written(tmp_path, safetensors_bytes({"__metadata__": {"a": "b"}})))
    assert checkpoint.tensors == ()
    assert checkpoint.metadata == {"model.safetensors": {"a": "b"}}


@pytest.mark.parametrize("name", ["__metadata", "__METADATA__", "", " ", "\x00", "a\nb", "../../passwd", "{0}", "é"])
def test_a_tensor_can_have_any_name_but_the_one_that_is_taken(tmp_path: Path, name: str):
    (spec,) = read_checkpoint(written(tmp_path, safetensors_bytes({name: tensor()}, bytes(8)))).tensors
    assert spec.name == name


def test_names_that_differ_in_normalization_only_are_two_tensors(tmp_path: Path):
    path = float_file(tmp_path / "model.safetensors", "\u00e9", "e\u0301")
    assert [spec.name for spec in read_checkpoint(path).tensors] == ["\u00e9", "e\u0301"]


def test_wrapper_prefixes_are_left_out_of_the_names_and_kept_in_the_header(tmp_path: Path):
    path = float_file(tmp_path / "m.safetensors", "module._orig_mod.fc.weight", "module._orig_mod.fc.bias")
    assert [spec.name for spec in read_checkpoint(path).tensors] == ["fc.weight", "fc.bias"]
    table = read_table(str(path), "m.safetensors")
    assert [entry.tensor.name for entry in table.entries] == ["module._orig_mod.fc.weight", "module._orig_mod.fc.bias"]


def test_a_name_is_free(tmp_path: Path):
    """The content tells the format, not the name."""
    path = float_file(tmp_path / "weights.bin", "w")
    assert read_checkpoint(path).format == "safetensors"


def test_a_link_is_followed_to_the_file_that_a_rewrite_replaces(tmp_path: Path):
    real = float_file(tmp_path / "real" / "model.safetensors", "w")
    link = tmp_path / "link"
    link.symlink_to(real)
    checkpoint = read_checkpoint(link)
    assert (checkpoint.path, checkpoint.target) == (str(link), str(real))
    assert [file.name for file in checkpoint.files] == ["link"]


def test_a_path_that_is_not_unicode_is_read(tmp_path: Path):
    path = tmp_path / os.fsdecode(b"m\xff.safetensors")
    path.write_bytes(TWO_FLOATS)
    assert read_checkpoint(path).files[0].name == os.fsdecode(b"m\xff.safetensors")
    path.write_bytes(b"")
    with pytest.raises(InputError, match=r"m\\u\{dcff\}\.safetensors: file is empty"):
        read_checkpoint(path)


@pytest.mark.parametrize("dims", [5_000, 1_000_000])
def test_a_shape_of_many_large_numbers_is_refused_without_multiplying_them_all(tmp_path: Path, dims: int):
    shape = b",".join([b"9223372036854775808"] * dims)
    header = b'{"w":{"dtype":"F32","shape":[%b],"data_offsets":[0,8]}}' % shape
    with pytest.raises(InputError, match="tensor w: its shape has more elements than a file can hold"):
        read_checkpoint(written(tmp_path, safetensors_bytes(header, bytes(8))))


def test_a_sparse_file_of_gigabytes_is_read_at_once(tmp_path: Path):
    size = 8 << 30
    path = written(tmp_path, safetensors_bytes({"w": tensor("U8", [size], [0, size])}))
    os.truncate(path, path.stat().st_size + size)
    (spec,) = read_checkpoint(path).tensors
    assert spec.nbytes == size


def test_a_hundred_thousand_tensors_are_read_in_little_time_and_memory(tmp_path: Path):
    header = {f"layers.{number}.weight": tensor("U8", [1], [number, number + 1]) for number in range(100_000)}
    path = written(tmp_path, safetensors_bytes(header, bytes(100_000)))
    assert read_within_limits(path) == "100000"


def test_a_file_that_becomes_shorter_while_its_header_is_read_is_a_conflict(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    path, read = float_file(tmp_path / "net.safetensors", "a"), safetensors.read_at

    def shorten_after(*where: int) -> bytes:
        content = read(*where)
        os.truncate(path, 20)
        return content

    monkeypatch.setattr(safetensors, "read_at", shorten_after)
    with pytest.raises(ConflictError, match=r"net\.safetensors: became shorter while it was read"):
        read_checkpoint(path)
