"""Checkpoints that are strange and right."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import numpy as np

from tests.broken.case import Oddity, file_of
from tests.formats.handwritten import float_file, safetensors_bytes, sharded, tensor

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

W = json.dumps({"w": tensor()}).encode()


def header(name: str, text: bytes | dict[str, Any], tensors: int = 1, data: bytes = bytes(8)) -> Oddity:
    return Oddity(name, file_of(safetensors_bytes(text, data)), tensors)


def headers() -> Iterator[Oddity]:
    yield header("S11-leading-spaces", b"  " + W)
    yield header("S12-trailing-white-space", W + b" \n\t\r ")
    yield header("S21-metadata-null", {"__metadata__": None, "w": tensor()})
    yield header("S22-unknown-field", {"w": tensor(extra="x", more={"a": [1, None]})})
    yield header("S56-almost-the-metadata", {"__metadata": tensor(shape=[1], offsets=[0, 4]),
                                             "__METADATA__": tensor(shape=[1], offsets=[4, 8])}, 2)  # fmt: skip
    for length in (123, 640, 1152, 31520):
        yield header(f"S60-header-of-{length}-bytes", W.ljust(length))
    yield header("S00-no-tensors", {}, 0, b"")
    yield header(
        "N00-hostile-names", {"": tensor("U8", [1], [0, 1]), "\x1b[31m\n::error::": tensor("U8", [7], [1, 8])}, 2
    )


def tensors() -> Iterator[Oddity]:
    yield header("S25-F6", {"w": tensor("F6_E2M3", [4], [0, 3])}, data=bytes(3))
    yield header("S26-F4", {"w": tensor("F4", [2, 3], [0, 3])}, data=bytes(3))
    for tag in ("F8_E8M0", "F8_E4M3FNUZ", "F8_E5M2FNUZ", "U16", "U32", "U64", "C64"):
        yield header(f"S27-{tag}", {"w": tensor(tag, [64 // bits_of(tag)], [0, 8])})
    for name, shape in {
        "S32-no-elements-of-2^63": [0, 2**63],
        "S33-2^62-times-0": [2**62, 0],
        "S33-2-times-0": [2, 0],
        "S34-65-empty-dims": [0] * 65,
    }.items():
        yield header(name, {"w": tensor(shape=shape, offsets=[0, 0])}, data=b"")
    for name, dims in {"S33-no-dims": 0, "S34-65-dims": 65, "S34-1000-dims": 1000}.items():
        yield header(name, {"w": tensor(shape=[1] * dims, offsets=[0, 4])}, data=bytes(4))
    yield header(
        "S45-floats-at-an-odd-offset", {"a": tensor("U8", [1], [0, 1]), "w": tensor(offsets=[1, 9])}, 2, bytes(9)
    )
    yield header("S46-bools-of-2-and-255", {"w": tensor("BOOL", [2], [0, 2])}, data=b"\x02\xff")
    yield header("S47-nan-and-infinity", {"w": tensor()}, data=np.array([np.nan, np.inf], "<f4").tobytes())


def bits_of(tag: str) -> int:
    return 8 if tag.startswith("F8") else int(tag[1:])


def sparse_8_gib(folder: Path) -> Path:
    size = 8 << 30
    path = file_of(safetensors_bytes({"w": tensor("U8", [size], [0, size])}))(folder)
    os.truncate(path, path.stat().st_size + size)
    return path


def two_normalizations(folder: Path) -> Path:
    return float_file(folder / "model.safetensors", "\u00e9", "e\u0301")


def index_without_metadata(folder: Path) -> Path:
    return sharded(folder, {"a.safetensors": ("w",)})


def index_with_a_wrong_total(folder: Path) -> Path:
    return sharded(folder, {"a.safetensors": ("w",)}, metadata={"total_size": -1}, unknown=[])


def orphan_shard(folder: Path) -> Path:
    float_file(folder / "orphan.safetensors", "old")
    return sharded(folder, {"a.safetensors": ("w",)})


def shard_in_the_hub_cache(folder: Path) -> Path:
    index = sharded(folder / "snapshots" / "0123abcd", {"a.safetensors": ("w",)})
    (folder / "blobs").mkdir()
    for path in (index, index.parent / "a.safetensors"):
        blob = folder / "blobs" / ("0" * 63 + str(int(path == index)))
        path.rename(blob)
        path.symlink_to(f"../../blobs/{blob.name}")
    return index


ODDITIES = (
    *headers(),
    *tensors(),
    Oddity("S53-8-GiB-sparse", sparse_8_gib, 1),
    Oddity("S57-two-normalizations", two_normalizations, 2),
    Oddity("I03-shard-in-the-hub-cache", shard_in_the_hub_cache, 1),
    Oddity("I05-shard-in-a-folder", lambda folder: sharded(folder, {"x/a.safetensors": ("w",)}), 1),
    Oddity("I14-index-without-metadata", index_without_metadata, 1),
    Oddity("I15-index-with-a-wrong-total", index_with_a_wrong_total, 1),
    Oddity("I23-orphan-shard", orphan_shard, 1),
)
