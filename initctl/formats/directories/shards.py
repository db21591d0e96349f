"""How tensors are spread over new shards: file names, index and limits as Hugging Face writes them.

huggingface_hub's `serialization/_base.py` is what others follow.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from initctl.errors import Problem, UsageError, shown
from initctl.formats.directories.weight_names import CONVERTED, SAFETENSORS, weight_name

if TYPE_CHECKING:
    from initctl.tensors import TensorSpec

LARGEST = "5GB"
"""The library's own default."""
_SIZE = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,9})?)\s*([KMGT]?B)?", re.IGNORECASE)
_UNITS = {"B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}


@dataclass(frozen=True)
class Naming:
    """What new files of weights are called: `stem.variant.safetensors`, as transformers and diffusers save them."""

    stem: str = "model"
    variant: str | None = None

    @classmethod
    def after(cls, name: str) -> Naming:
        """The names of what the file or the index called `name` becomes: a loader looks for the same stem."""
        found = weight_name(name)
        if found is None:
            return cls(name.lstrip(".") or "model")
        stem = CONVERTED.get(found.stem, found.stem)
        if found.is_part and not found.is_index:
            return cls(stem + name.removeprefix(found.stem).removesuffix(found.suffix))
        return cls(stem, found.variant)

    @property
    def file(self) -> str:
        """One file with all of it."""
        return f"{self._begin}{SAFETENSORS}"

    @property
    def index(self) -> str:
        variant = f".{self.variant}" if self.variant else ""
        return f"{self.stem}{SAFETENSORS}.index{variant}.json"

    def shard(self, number: int, shards: int) -> str:
        return f"{self._begin}-{number:05d}-of-{shards:05d}{SAFETENSORS}"

    @property
    def _begin(self) -> str:
        return f"{self.stem}.{self.variant}" if self.variant else self.stem


def parse_size(text: str) -> int:
    """Bytes, from a number with or without a unit: `500MB`, `5GB`, with 1 KB = 1000 bytes. Raises `UsageError`."""
    match = _SIZE.fullmatch(text.strip())
    size = int(float(match[1]) * _UNITS[(match[2] or "B").upper()]) if match else 0
    if not size:
        hint = "write for instance 500MB or 5GB"
        raise UsageError(Problem("usage.shard_size", f"max-shard-size: {shown(text)} is not a size", hint))
    return size


def spread(tensors: Sequence[TensorSpec], largest: int, naming: Naming) -> dict[str, list[TensorSpec]]:
    """Which of `tensors` go to which file: in their order, and a new one if the last would get larger than `largest`.

    A tensor that is larger by itself has a file of its own.
    """
    shards: list[list[TensorSpec]] = []
    current: list[TensorSpec] = []
    size = 0
    for tensor in tensors:
        if tensor.nbytes > largest:
            shards.append([tensor])
            continue
        if current and size + tensor.nbytes > largest:
            shards.append(current)
            current, size = [], 0
        current.append(tensor)
        size += tensor.nbytes
    if current or not shards:
        shards.append(current)
    if len(shards) == 1:
        return {naming.file: shards[0]}
    return {naming.shard(number, len(shards)): shard for number, shard in enumerate(shards, start=1)}


def index_of(shards: Mapping[str, Sequence[TensorSpec]]) -> bytes:
    weight_map = {tensor.name: file for file, tensors in shards.items() for tensor in tensors}
    total = sum(tensor.nbytes for tensors in shards.values() for tensor in tensors)
    document = {"metadata": {"total_size": total}, "weight_map": weight_map}
    return (json.dumps(document, indent=2, sort_keys=True) + "\n").encode()
