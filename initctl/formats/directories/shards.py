"""How tensors are distributed over new shards: file names, index and limits of Hugging Face's libraries.

The model is `serialization/_base.py` of huggingface_hub.
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
"""The default of huggingface_hub."""
_SIZE = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,9})?)\s*([KMGT]?B)?", re.IGNORECASE)
_UNITS = {"B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}


@dataclass(frozen=True)
class Naming:
    """Names of new files of weights: `stem.variant.safetensors`, as in transformers and diffusers."""

    stem: str = "model"
    variant: str | None = None

    @classmethod
    def after(cls, name: str) -> Naming:
        """The names of new files made from the file or index `name`. They keep its stem, since loaders expect it."""
        found = weight_name(name)
        if found is None:
            return cls(name.lstrip(".") or "model")
        stem = CONVERTED.get(found.stem, found.stem)
        if found.is_part and not found.is_index:
            return cls(stem + name.removeprefix(found.stem).removesuffix(found.suffix))
        return cls(stem, found.variant)

    @property
    def file(self) -> str:
        """The name of a single file with all tensors."""
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
    """The bytes of a size such as `500MB`, `5GB` or `1000`, with 1 KB = 1000 bytes. Raises `UsageError`."""
    match = _SIZE.fullmatch(text.strip())
    size = int(float(match[1]) * _UNITS[(match[2] or "B").upper()]) if match else 0
    if not size:
        hint = "for example, 500MB or 5GB"
        raise UsageError(Problem("usage.shard_size", f"max-shard-size: {shown(text)} is not a size", hint))
    return size


def spread(tensors: Sequence[TensorSpec], largest: int, naming: Naming) -> dict[str, list[TensorSpec]]:
    """The `tensors` of each file, in order. A new file begins if the last one would become larger than `largest` bytes.

    A tensor that is larger than `largest` gets a separate file.
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
