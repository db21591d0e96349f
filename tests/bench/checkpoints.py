"""The files that are worked on: a language model's tensors, with any finite numbers in them."""

from __future__ import annotations

import json
import subprocess
import sys
from math import prod
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

VOCABULARY, WIDTH, INNER = 32_000, 2048, 5632
HEAD = "lm_head.weight"
"""The last tensor; 131 MB in bfloat16, whatever the size of the file."""
_BYTES = 2  # of a bfloat16
_FINITE = np.uint16(0xBFFF)
"""What leaves a bfloat16 of magnitude below 2."""
_SAVED = """
import sys, torch
from safetensors.torch import load_file
torch.save({"state_dict": load_file(sys.argv[1])}, sys.argv[2])
"""
_WRITTEN_AT_ONCE = 1 << 22


def language_model(path: Path, size: float) -> Path:
    """A bfloat16 checkpoint of about `size` bytes, between an embedding and a head as many layers as fit."""
    tensors = {"model.embed_tokens.weight": (VOCABULARY, WIDTH)}
    head = {HEAD: (VOCABULARY, WIDTH)}
    number = 0
    while _nbytes(tensors) + _nbytes(layer := _layer(number)) + _nbytes(head) <= size:
        tensors |= layer
        number += 1
    return written(path, tensors | head)


def archive(path: Path) -> Path:
    """The checkpoint of safetensors at `path`, as torch.save writes it; an existing one is taken as it is.

    In a process of its own, since a child's peak counts its parent's.
    """
    target = path.with_suffix(".pt")
    if not target.exists():
        staged = path.with_suffix(".part")
        subprocess.run([sys.executable, "-c", _SAVED, str(path), str(staged)], check=True)
        staged.rename(target)
    return target


def many_tensors(path: Path, count: int) -> Path:
    """A small checkpoint of `count` tensors."""
    return written(path, {f"layers.{i}.weight": (32, 16) for i in range(count)})


def square(path: Path, width: int) -> Path:
    """A checkpoint of one matrix."""
    return written(path, {"weight": (width, width)})


def written(path: Path, tensors: dict[str, tuple[int, ...]]) -> Path:
    """The safetensors file at `path`; an existing one is taken as it is."""
    if path.exists():
        return path
    header, end = {}, 0
    for name, shape in tensors.items():
        offsets = [end, end + prod(shape) * _BYTES]
        header[name] = {"dtype": "BF16", "shape": list(shape), "data_offsets": offsets}
        end = offsets[1]
    text = json.dumps(header).encode()
    generator = np.random.default_rng(0)
    staged = path.with_suffix(".part")
    with staged.open("wb") as stream:
        stream.write(len(text).to_bytes(8, "little") + text)
        for first in range(0, end, _WRITTEN_AT_ONCE):
            numbers = generator.integers(0, 1 << 16, min(_WRITTEN_AT_ONCE, end - first) // _BYTES, np.uint16)
            stream.write((numbers & _FINITE).tobytes())
    staged.rename(path)
    return path


def empty(path: Path, dtype: str, count: int, width: int) -> Path:
    """A checkpoint of `count` square matrices of elements of one or two bytes, all zeros, which take no disk."""
    nbytes = width * width * (2 if dtype == "BF16" else 1)
    header = {
        f"layers.{number}.weight": {
            "dtype": dtype, "shape": [width, width], "data_offsets": [number * nbytes, (number + 1) * nbytes]
        }
        for number in range(count)
    }  # fmt: skip
    text = json.dumps(header).encode()
    with path.open("wb") as stream:
        stream.write(len(text).to_bytes(8, "little") + text)
        stream.truncate(8 + len(text) + count * nbytes)
    return path


def _layer(number: int) -> dict[str, tuple[int, ...]]:
    layer = f"model.layers.{number}."
    return {
        **{f"{layer}self_attn.{which}_proj.weight": (WIDTH, WIDTH) for which in "qkvo"},
        **{f"{layer}mlp.{which}_proj.weight": (INNER, WIDTH) for which in ("gate", "up")},
        f"{layer}mlp.down_proj.weight": (WIDTH, INNER),
        f"{layer}input_layernorm.weight": (WIDTH,),
        f"{layer}post_attention_layernorm.weight": (WIDTH,),
    }


def _nbytes(tensors: dict[str, tuple[int, ...]]) -> int:
    return sum(map(prod, tensors.values())) * _BYTES
