"""Checkpoints for the tests of reports and commands: any names, dtypes and shapes."""

from __future__ import annotations

import json
from math import prod
from typing import TYPE_CHECKING

from initctl.dtypes import BY_TAG
from tests.formats.handwritten import safetensors_bytes, tensor

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

Tensors = "Mapping[str, tuple[str, tuple[int, ...]]]"

NET = {
    "fc1.weight": ("F32", (4, 3)),
    "fc1.bias": ("F32", (4,)),
    "fc2.weight": ("F32", (2, 4)),
    "steps": ("I64", (2,)),
}


def checkpoint(path: Path, tensors: Tensors, metadata: Mapping[str, str] | None = None) -> Path:
    """A safetensors file at `path` whose data are a hole in the file: large ones cost nothing."""
    header, end = {"__metadata__": metadata} if metadata else {}, 0
    for name, (tag, shape) in tensors.items():
        size = prod(shape) * BY_TAG[tag].bits // 8
        header[name] = tensor(tag, shape, (end, end + size))
        end += size
    content = safetensors_bytes(header)
    path.write_bytes(content)
    with open(path, "r+b") as stream:
        stream.truncate(len(content) + end)
    return path


def counting(path: Path) -> Path:
    """The file at `path` with its last 16 bytes no longer zero, so that a change to them would be seen."""
    content = path.read_bytes()
    path.write_bytes(content[:-16] + bytes(range(16)))
    return path


def shards(folder: Path, **files: Tensors) -> Path:
    """A directory of shards, each named for its argument, and their index; returns the directory."""
    folder.mkdir()
    weight_map = {}
    for stem, tensors in files.items():
        checkpoint(folder / f"{stem}.safetensors", tensors)
        weight_map |= dict.fromkeys(tensors, f"{stem}.safetensors")
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))
    return folder


OLD = b"\x02" + bytes(7) + b"{}"
"""A safetensors file of no tensors, which may be replaced."""
