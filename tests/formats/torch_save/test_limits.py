"""Each limit, and each rare form, of files of torch.save: refused with its reason, or read."""

from __future__ import annotations

import struct
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import torch

from initctl.errors import InputError
from initctl.formats import read_checkpoint
from initctl.formats.torch_save import archive, graph, pickle
from tests.broken.torch_faults import HOOKS, OLD, PICKLE, REAL, RECORDS
from tests.broken.torch_oddities import TENSOR
from tests.formats.torch_save.rewritten import UTF_8, legacy, packed, replaced, saved, with_pickle

if TYPE_CHECKING:
    from pathlib import Path

    from initctl.formats import Checkpoint

PARAMETER, FROM_TYPE = b"ctorch._utils\n_rebuild_parameter\n", b"ctorch._tensor\n_rebuild_from_type_v2\n"
PLAIN = packed(RECORDS.values())
(SIZE,) = struct.unpack("<I", PLAIN[-10:-6])
"""Of the directory of `PLAIN`."""
OPTIMIZER = {"state": {0: {"step": 5}}, "param_groups": [{"params": [0]}]}
NOTHING = b"ccollections\nOrderedDict\n)R"


def beside(*instructions: bytes) -> bytes:
    """A file with a tensor, and with what `instructions` make."""
    return with_pickle(REAL, replaced(PICKLE, b"Rq\rs.", b"Rq\rsX\1\0\0\0k" + b"".join(instructions) + b"s."))


def read(content: bytes, folder: Path) -> Checkpoint:
    (folder / "model.pt").write_bytes(content)
    return read_checkpoint(folder / "model.pt")


def refusal(content: bytes, folder: Path) -> str:
    with pytest.raises(InputError) as raised:
        read(content, folder)
    return str(raised.value)


LIMITS: dict[str, tuple[Any, str, int, bytes, str]] = {
    "records": (archive, "_MOST_RECORDS", 3, REAL, "has more than 3 records"),
    "directory": (archive, "LONGEST_DIRECTORY", 10, REAL, "its directory is longer than 10 bytes"),
    "wide texts": (pickle, "_MOST_WIDE", 10, beside(b"X\2\0\0\0\xc3\xa9"), "need more than 10 bytes of memory"),
    "classes": (pickle, "_MOST_GLOBALS", 1, REAL, "names more than 1 classes and functions"),
    "storages": (pickle, "MOST_STORAGES", 0, REAL, "names more than 0 storages"),
    "instructions": (pickle, "MOST_INSTRUCTIONS", 5, REAL, "has more than 5 instructions"),
    "paths": (graph, "_MOST_TENSORS", 0, REAL, "paths to tensors"),
    "names": (graph, "_MOST_BYTES", 0, REAL, "too long names"),
    "keys": (graph, "_DEEPEST", 1, saved({"a": {"b": {"c": torch.ones(2)}}}), "paths to tensors"),
}


@pytest.mark.parametrize("limit", LIMITS)
def test_a_limit_is_named(limit: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    module, name, value, content, words = LIMITS[limit]
    monkeypatch.setattr(module, name, value)
    assert words in refusal(content, tmp_path)


def test_a_long_text_is_not_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(pickle, "_LONGEST_TEXT", 20)
    assert len(read(beside(b"X\x1e\0\0\0" + b"\xff" * 30), tmp_path).tensors) == 1


REFUSED = {
    "long name of a class": (beside(b"c" + b"m" * 1001 + b"\nx\n"), "a class with more than 1,000 characters"),
    "wrappers": (beside(PARAMETER * 9, TENSOR, (b"\x89" + NOTHING + b"\x87R") * 9), "has too many wrappers"),
    "parameter of one argument": (beside(PARAMETER, TENSOR, b"\x85R"), "is rebuilt by torch._utils._rebuild_parameter"),
    "parameter of no tensor": (beside(PARAMETER, b")\x89", NOTHING, b"\x87R"), "is a parameter without a tensor"),
    "no dtype": (
        with_pickle(REAL, replaced(PICKLE, b"ctorch\nFloatStorage", b"ctorch.storage\nUntypedStorage")),
        "tensor w: has no dtype",
    ),
    "metadata": (
        with_pickle(REAL, replaced(PICKLE, HOOKS, HOOKS[:-1] + b"}(" + b"K\1N" * 17 + b"ut")),
        "has more metadata entries than torch ever writes",
    ),
    "arguments": (beside(FROM_TYPE, b"}R"), "calls a function with a value that is not a tuple of arguments"),
    "arguments in a list": (beside(FROM_TYPE, b"]R"), "calls a function with a value that is not a tuple of arguments"),
    "magic": (b"\x80\2.", "is a pickle that torch.save did not write"),
    "legacy id": (replaced(OLD, b"K\6Nt", b"K\6t"), "its pickle names a storage in an unknown way"),
    "legacy id of no storage": (replaced(OLD, b"K\6Nt", b"K\6Nt0K\1"), "names its storage in an unknown way"),
    "legacy view": (replaced(OLD, b"K\6Nt", b"K\6K\1t"), "names its storage in an unknown way"),
    "trailing bytes of the directory": (
        PLAIN[:-22] + bytes(10) + PLAIN[-22:-10] + struct.pack("<I", SIZE + 10) + PLAIN[-6:],
        "its directory is truncated",
    ),
    "no Zip64 field": (
        packed([replace(held, size=0xFFFFFFFF) for held in RECORDS.values()]), "has no Zip64 field, but needs one",
    ),
    "another field in place of Zip64": (
        packed([replace(held, wide=True) for held in RECORDS.values()]).replace(b"\1\0\x18\0", b"\2\0\x18\0"),
        "has no Zip64 field, but needs one",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_a_rare_fault_is_named(case: str, tmp_path: Path):
    content, words = REFUSED[case]
    assert words in refusal(content, tmp_path)


def test_a_record_beyond_the_end_of_the_file_is_refused(tmp_path: Path):
    """The one before it would reach there: its size is too large by a million."""
    first, second = (replace(record, flags=UTF_8) for record in list(RECORDS.values())[:2])
    size = len(first.content) + 10**6
    content = packed([replace(first, size=size, local_size=size), second])
    place = content.index(b"PK\3\4", 4)
    listed = struct.pack("<I", place) + second.name.encode()
    content = replaced(content, listed, struct.pack("<I", place + 10**6) + second.name.encode())
    assert f"{second.name}: is beyond the end of the file" in refusal(content, tmp_path)


READ = {
    "NEWOBJ_EX": beside(b"cx\ny\n)}\x92"),
    "a step twice": beside(b"(X\4\0\0\0stepK\0052q\x40t"),
    "a step in the memo": beside(b"(X\4\0\0\0stepK\5q\x40t"),
    "attributes of a parameter": beside(PARAMETER, TENSOR, b"\x89", NOTHING, b"\x87R}b"),
    "slots": beside(b"cx\ny\n)\x81N}\x86b"),
    "attributes and slots": beside(b"cx\ny\n)\x81}}\x86b"),
    "a type without a name": beside(FROM_TYPE, b"(ctorch._utils\n_rebuild_nested_tensor\nU\1x)NtR"),
    "sparse": beside(b"ctorch._utils\n_rebuild_sparse_tensor\nN)\x86R"),
    "sparse, without its parts": beside(b"ctorch._utils\n_rebuild_sparse_tensor\nNN\x86R"),
    "a module without buffers": beside(
        b"cx\ny\n)\x81}(X\13\0\0\0_parameters}X\x08\0\0\0_buffers}X\x08\0\0\0_modules}"
        b"X\x1b\0\0\0_non_persistent_buffers_setNub"
    ),
    "large": legacy({"w": torch.zeros(1 << 19)}),
    "a long pickle of old": legacy({"w": torch.ones(2), "pad": "x" * (1 << 21)}),
    "a view of old": replaced(OLD, b"K\6Nt", b"K\6(X\1\0\0\0vK\0K\6tt"),
    "a shared optimizer": saved([{"w": torch.ones(2)}, OPTIMIZER, OPTIMIZER]),
}  # fmt: skip


@pytest.mark.parametrize("case", READ)
def test_a_rare_form_is_read(case: str, tmp_path: Path):
    checkpoint = read(READ[case], tmp_path)
    assert [tensor.numel for tensor in checkpoint.tensors if tensor.name.endswith("w")] in ([6], [2], [1 << 19])


def test_checksums_of_a_patch_that_stopped_are_unfinished(tmp_path: Path):
    at = REAL.index(b"PK\1\2", REAL.index(b"PK\1\2")) + 16
    content = REAL[:at] + bytes(4) + REAL[at + 4 :]
    checkpoint = read(content, tmp_path)
    assert [checksum.unfinished for checksum in checkpoint.files[0].checksums].count(True) == 1


def test_a_storage_of_two_types_is_refused(tmp_path: Path):
    tensor = torch.ones(2)
    two = legacy({"w": tensor, "v": tensor[1:]})
    at = two.index(b"h\3h\4", two.index(b"Rq\x0d"))
    content = two[:at] + b"h\3ctorch\nLongStorage\n" + two[at + 4 :]
    assert "has two different types" in refusal(content, tmp_path)


@pytest.mark.parametrize(("entry", "is_negated"), [("neg=1", True), ("neg=0", True), ("new=1", False)])
def test_metadata_say_that_values_are_negated_as_torch_reads_them(tmp_path: Path, entry: str, is_negated: bool):
    """torch looks only at whether the key is there, and ignores keys that it does not know."""
    key, _, value = entry.partition("=")
    metadata = b"}X\3\0\0\0" + key.encode() + (b"\x88" if int(value) else b"\x89") + b"st"
    (tensor,) = read(with_pickle(REAL, replaced(PICKLE, HOOKS, HOOKS[:-1] + metadata)), tmp_path).tensors
    assert torch.load(tmp_path / "model.pt")["w"].is_neg() is is_negated
    assert bool(tensor.unwritable) is is_negated


@pytest.mark.parametrize(("wrappers", "dtype"), [(0, "float32"), (2, "float32"), (3, "unknown")])
def test_the_dtype_of_a_nested_tensor_is_that_of_its_values_below_up_to_two_wrappers(
    tmp_path: Path, wrappers: int, dtype: str
):
    values = PARAMETER * wrappers + TENSOR + (b"\x89" + NOTHING + b"\x87R") * wrappers
    content = beside(b"ctorch._utils\n_rebuild_nested_tensor\n(", values, b"tR")
    (nested,) = (tensor for tensor in read(content, tmp_path).tensors if tensor.name == "k")
    assert nested.dtype.name == dtype
