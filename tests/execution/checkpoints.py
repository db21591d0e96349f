"""Checkpoints as the safetensors library writes them, and what their files hold, read without the package."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

import torch
from safetensors.torch import save_file

from initctl.stream import WholeLaw
from initctl.stream.draws import Draws

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from initctl.stream import Law

METADATA = {"format": "pt", "note": "é\n", "zeta": "1", "alpha": ""}

SHARDS = {
    "model-1.safetensors": ("embed.weight", "layers.0.weight", "layers.0.bias"),
    "model-2.safetensors": ("layers.1.weight", "layers.1.bias"),
    "model-3.safetensors": ("norm.weight", "steps"),
}
"""Which tensors of `network` lie in which file."""


def network(dtype: torch.dtype = torch.float32) -> dict[str, torch.Tensor]:
    """Tensors that are nowhere zero: 0.5 in each float."""
    shapes = {
        "embed.weight": (50, 8), "layers.0.weight": (8, 8), "layers.0.bias": (8,), "layers.1.weight": (8, 8),
        "layers.1.bias": (8,), "norm.weight": (8,),
    }  # fmt: skip
    return {name: torch.full(shape, 0.5).to(dtype) for name, shape in shapes.items()} | {"steps": torch.tensor([7])}


def single(path: Path, dtype: torch.dtype = torch.float32) -> Path:
    """The network in one file, with several metadata keys."""
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(network(dtype), path, metadata=METADATA)
    return path


def sharded(folder: Path, dtype: torch.dtype = torch.float32) -> Path:
    """The network in three shards with an index, beside files of other kinds."""
    (folder / "extra" / "deep").mkdir(parents=True)
    tensors = network(dtype)
    for shard, names in SHARDS.items():
        save_file({name: tensors[name] for name in names}, folder / shard, metadata=METADATA)
    weight_map = {name: shard for shard, names in SHARDS.items() for name in names}
    index = {"metadata": {"total_size": 1}, "weight_map": weight_map}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index), encoding="utf-8")
    (folder / "config.json").write_text('{"model_type": "none"}', encoding="utf-8")
    (folder / "config.json").chmod(0o604)
    (folder / "empty").touch()
    (folder / "extra" / "deep" / "notes.txt").write_bytes(b"\0notes")
    return folder


class Range(NamedTuple):
    """Where a tensor's bytes lie in its file, and what they are."""

    start: int
    stop: int
    tag: str
    shape: tuple[int, ...]


def ranges(content: bytes) -> dict[str, Range]:
    """The table in a file's header."""
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    header.pop("__metadata__", None)
    return {
        name: Range(*(8 + length + offset for offset in entry["data_offsets"]), entry["dtype"], tuple(entry["shape"]))
        for name, entry in header.items()
    }


def raw_bytes(tensor: torch.Tensor) -> bytes:
    return tensor.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()


def recomputed(
    name: str, law: Law | WholeLaw, shape: tuple[int, ...], *, seed: int = 0, dtype: torch.dtype = torch.float32
):
    """The tensor that `law` gives for `name`: values from the stream, rounded by torch."""
    draws = Draws.of(seed, name)
    law = law.prepared(draws) if isinstance(law, WholeLaw) else law
    values = law.values(draws, 0, torch.Size(shape).numel())
    return torch.from_numpy(values).reshape(shape).to(dtype)


def assert_written(source: bytes, result: bytes, expected: Mapping[str, torch.Tensor]) -> None:
    """`result` is `source` to the byte, but for the tensors that are `expected` to be filled."""
    table, wanted = ranges(source), bytearray(source)
    for name, tensor in expected.items():
        start, stop = table[name][:2]
        assert len(raw_bytes(tensor)) == stop - start
        wanted[start:stop] = raw_bytes(tensor)
    assert result == bytes(wanted)
