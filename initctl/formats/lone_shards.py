"""One shard of a checkpoint that is named by itself: layers are counted within it, and the other shards stay."""

from __future__ import annotations

import os
import re

from initctl.errors import InputError, Problem, shown
from initctl.formats.index import Index

_INDEX = re.compile(r".+\.index(\.[\w-]+)?\.json")
"""An index, or that of a variant: `model.safetensors.index.fp16.json`."""
_NUMBERED = re.compile(r"(?P<stem>.+)-(?P<number>\d{5})-of-(?P<shards>\d{5})(?P<suffix>\.\w+)", re.DOTALL)
"""How transformers, diffusers and huggingface_hub number shards: `model-00001-of-00002.safetensors`."""
_MOST_SHARDS = 1000
"""As many neighbors of a numbered file are looked for."""


def lone_shard(path: str) -> tuple[Problem, ...]:
    """A warning if the file at `path` is one of several shards: an index beside it lists it, or its name numbers it."""
    directory, name = os.path.split(path)
    if index := _index_of(directory, name):
        message = f"{shown(path)}: is one of the shards that {shown(os.path.basename(index))} lists"
        return (_warning(message, f"name {shown(index)} instead"),)
    if (of := _numbered(name)) and any(os.path.lexists(os.path.join(directory, other)) for other in of):
        message = f"{shown(path)}: is one of {len(of) + 1} shards, and their index is not there"
        return (_warning(message, "restore the index, and name that instead"),)
    return ()


def _warning(message: str, hint: str) -> Problem:
    within = "layers are counted within this file, as by {-1}, and no rule reaches the other shards"
    return Problem("file.shard", f"{message}: {within}", hint)


def _index_of(directory: str, name: str) -> str | None:
    """The path of the first index in `directory` that lists `name` beside other shards."""
    for index in sorted(filter(_INDEX.fullmatch, os.listdir(directory or "."))):
        path = os.path.join(directory, index)
        try:
            shards = Index(path).shards
        except InputError:  # the fault is not this file's
            continue
        if name in shards and len(shards) > 1:
            return path
    return None


def _numbered(name: str) -> list[str]:
    """The other shards that `name` is numbered among."""
    found = _NUMBERED.fullmatch(name)
    count = int(found["shards"]) if found else 0
    if not found or count > _MOST_SHARDS:
        return []
    names = (f"{found['stem']}-{n:05d}-of-{found['shards']}{found['suffix']}" for n in range(1, count + 1))
    return [other for other in names if other != name]
