"""Safetensors files and indexes written byte by byte, right or wrong."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

INDEX_NAME = "model.safetensors.index.json"


def tensor(dtype: Any = "F32", shape: Any = (2,), offsets: Any = (0, 8), **more: Any) -> dict[str, Any]:
    """A tensor's entry in a header."""
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets, **more}


def safetensors_bytes(header: Mapping[str, Any] | bytes, data: bytes = b"") -> bytes:
    """A file with `header`, as JSON or as it stands, and `data`."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


TWO_FLOATS = safetensors_bytes({"w": tensor()}, bytes(8))


def float_file(path: Path, *names: str) -> Path:
    """A file at `path` with a tensor of one float for each of `names`."""
    header = {name: tensor(shape=[1], offsets=[4 * i, 4 * i + 4]) for i, name in enumerate(names)}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(safetensors_bytes(header, bytes(4 * len(names))))
    return path


def sharded(folder: Path, shards: Mapping[str, tuple[str, ...]], **index: Any) -> Path:
    """A directory with `shards`, which map a file's name to its tensors' names, and their index; returns the index.

    `index` overrides its fields.
    """
    for shard, names in shards.items():
        float_file(folder / shard, *names)
    weight_map = {name: shard for shard, names in shards.items() for name in names}
    path = folder / INDEX_NAME
    path.write_text(json.dumps({"weight_map": weight_map, **index}), encoding="utf-8")
    return path
