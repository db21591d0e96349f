"""Files of torch.save with what training loops put into them, and what they must hold once tensors are filled.

The archive's fields are found with Python's zipfile, and the bytes of tensors by what they are: without the package.
"""

from __future__ import annotations

import argparse
import io
import random
import struct
import zipfile
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file

import initctl
from tests.execution.checkpoints import raw_bytes

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    Tensors = Mapping[str, torch.Tensor]

FORMATS = ("zip", "legacy")
MODES: dict[str, dict[str, Any]] = {
    "to a new file": {},
    "in place": {"in_place": True},
    "patched": {"in_place": "patch"},
}


CRC_OF_ZERO = b"\x9d\x0a\xd9\x6d"
"""Four bytes whose CRC-32 is 0."""


def bits(dtype: torch.dtype, *shape: int, seed: int = 0) -> torch.Tensor:
    """A tensor of random bits, so that its bytes are found again in a file; of a dtype that takes any bits."""
    generator = torch.Generator().manual_seed(seed)
    size = torch.Size(shape).numel() * dtype.itemsize
    drawn = torch.randint(0, 256, (size,), dtype=torch.uint8, generator=generator)
    return (drawn & 1 if dtype == torch.bool else drawn).view(dtype).reshape(shape)


def network() -> dict[str, torch.Tensor]:
    """A state dict with a tie, a transposed weight, views into larger storages, and no dims."""
    embed = bits(torch.float32, 12, 8, seed=1)
    return {
        "embed.weight": embed,
        "head.weight": embed,
        "proj.weight": bits(torch.float32, 6, 8, seed=2).T,
        "square.weight": bits(torch.float32, 5, 5, seed=3).T,
        "part.weight": bits(torch.float32, 9, 4, seed=4)[2:5],
        "stepped.weight": bits(torch.float32, 7, 6, seed=5)[::2, 1::2],
        "norm.weight": bits(torch.float32, 8, seed=6),
        "norm.bias": bits(torch.float32, 8, seed=7),
        "half.weight": bits(torch.bfloat16, 5, 3, seed=8),
        "scale": bits(torch.float64, seed=9),
        "steps": bits(torch.int64, 2, seed=10),
        "empty": torch.empty(0, 3),
    }


RULES = [
    "{embed,head}.weight=normal:std=0.02", "proj.weight=xavier_uniform", "square.weight=orthogonal",
    "part.weight=uniform", "stepped.weight=trunc_normal:std=0.5,cut=2", "norm.weight=ones",
    "half.weight=kaiming_normal", "scale=constant:val=0.1", "steps=constant:val=3", "empty=normal",
]  # fmt: skip
"""All of `network` but a bias."""


def trained() -> dict[str, Any]:
    """What an optimizer holds after a step."""
    layer = torch.nn.Linear(3, 2)
    optimizer = torch.optim.AdamW(layer.parameters())
    layer(torch.ones(3)).sum().backward()
    optimizer.step()
    return optimizer.state_dict()


def lightning(state: Tensors) -> dict[str, Any]:
    return {
        "epoch": 3,
        "global_step": 70,
        "pytorch-lightning_version": "2.4.0",
        "state_dict": state,
        "loops": {"fit_loop": {"state_dict": {}, "epoch_progress": {"total": {"ready": 3}}}},
        "callbacks": {"ModelCheckpoint": {"best_model_score": torch.tensor(0.25), "dirpath": Path("some/where")}},
        "optimizer_states": [trained()],
        "lr_schedulers": [],
        "hyper_parameters": argparse.Namespace(lr=3e-4, betas=(0.9, 0.95), of={1, 2}),
    }


def accelerate(state: Tensors) -> dict[str, Any]:
    return {
        "step": 7,
        "model": state,
        "optimizer": trained(),
        "scheduler": {"base_lrs": [0.1], "last_epoch": 7},
        "random_states": {
            "random": random.getstate(),
            "numpy": np.random.get_state(),  # noqa: NPY002 - what accelerate saves
            "torch": torch.get_rng_state(),
        },
    }


WRAPPED = {"plain": dict, "lightning": lightning, "accelerate": accelerate}


def save(path: Path, value: Any, kind: str = "zip") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(value, path, _use_new_zipfile_serialization=kind == "zip")
    return path


def load(path: Path) -> Any:
    return torch.load(path, weights_only=False)


def apply(mode: str, source: Path, rules: list[str] = RULES, **options: Any) -> Path:
    """`source` with `rules` applied as one of MODES; returns where the result lies."""
    out = None if MODES[mode] else source.with_name(f"out-{source.name}")
    return Path(initctl.apply(source, out, rules=rules, **MODES[mode], **options).output)


def as_safetensors(folder: Path, tensors: Tensors, rules: list[str] = RULES, **options: Any) -> dict[str, torch.Tensor]:
    """What the safetensors file of the same `tensors` gets from the same rules."""
    folder.mkdir(exist_ok=True)
    save_file({name: tensor.clone().contiguous() for name, tensor in tensors.items()}, folder / "same.safetensors")
    initctl.apply(folder / "same.safetensors", folder / "filled.safetensors", rules=rules, **options)
    return load_file(folder / "filled.safetensors")


def rewritten(content: bytes, tensors: Tensors, filled: Tensors) -> bytes:
    """`content`, a file of `tensors`, with those in it that are `filled`, and the checksums of its zip records."""
    storages: dict[int, torch.UntypedStorage] = {}
    old: dict[int, bytes] = {}
    for name, new in filled.items():
        if not new.numel():
            continue
        tensor, place = tensors[name], tensors[name].untyped_storage().data_ptr()
        old.setdefault(place, _bytes_of(tensor.untyped_storage()))
        storage = storages.setdefault(place, tensor.untyped_storage().clone())
        view = torch.empty(0, dtype=tensor.dtype)
        view.set_(storage, tensor.storage_offset(), tensor.shape, tensor.stride())
        view.copy_(new)
    result = bytearray(content)
    for place, storage in storages.items():
        assert content.count(old[place]) == 1
        begin = content.index(old[place])
        result[begin : begin + len(old[place])] = _bytes_of(storage)
    return _with_checksums(content, result) if content.startswith(b"PK") else bytes(result)


def _bytes_of(storage: torch.UntypedStorage) -> bytes:
    return torch.empty(0, dtype=torch.uint8).set_(storage).numpy().tobytes()


def _with_checksums(content: bytes, result: bytearray) -> bytes:
    """`result` with the CRC-32 of each record that is not the one in `content`: after it, and in the directory."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        entry, records = archive.start_dir, archive.infolist()
    for info in records:
        begin = info.header_offset + 30 + sum(struct.unpack_from("<2H", content, info.header_offset + 26))
        stop = begin + info.file_size
        if result[begin:stop] != content[begin:stop] and info.CRC:
            crc = zlib.crc32(result[begin:stop]).to_bytes(4, "little")
            assert content[stop : stop + 8] == b"PK\7\b" + info.CRC.to_bytes(4, "little")
            assert content[entry + 16 : entry + 20] == info.CRC.to_bytes(4, "little")
            result[stop + 4 : stop + 8] = result[entry + 16 : entry + 20] = crc
        entry += 46 + sum(struct.unpack_from("<3H", content, entry + 28))
    return bytes(result)


def sound(path: Path) -> bool:
    """Whether zipfile finds nothing wrong with the file at `path`, if it is an archive."""
    if not zipfile.is_zipfile(path):
        return not path.read_bytes().startswith(b"PK")
    with zipfile.ZipFile(path) as archive:
        return archive.testzip() is None


def same(one: Any, other: Any) -> bool:
    """Whether two loaded objects are equal, tensors to the bit and to the stride."""
    if type(one) is not type(other):
        return False
    if isinstance(one, torch.Tensor):
        looks = [(t.dtype, t.shape, t.stride(), t.storage_offset(), raw_bytes(t)) for t in (one, other)]
        return looks[0] == looks[1]
    if isinstance(one, dict):
        return list(one) == list(other) and all(same(one[key], other[key]) for key in one)
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, np.ndarray):
        return bool((one == other).all())
    return same(vars(one), vars(other)) if hasattr(one, "__dict__") and not callable(one) else one == other


def damage(path: Path, tensor: torch.Tensor, at: int = 0) -> None:
    """Flip a bit in what the file at `path` holds of the storage of `tensor`, `at` some byte of it."""
    content = bytearray(path.read_bytes())
    held = _bytes_of(tensor.untyped_storage())
    assert content.count(held) == 1
    content[content.index(held) + at] ^= 16
    path.write_bytes(content)


def index_of(weight_map: Iterable[tuple[str, str]]) -> dict[str, Any]:
    return {"metadata": {"total_size": 1}, "weight_map": dict(weight_map)}
