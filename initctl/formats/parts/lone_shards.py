"""One shard of a checkpoint that is named by itself: layers are counted within it, and the other shards stay."""

from __future__ import annotations

import os
import re

from initctl.errors import InputError, Problem, shown
from initctl.formats.directories.weight_names import weight_name

_NUMBERED = r".+-\d{5}-of-(?P<shards>\d{5})\.\w+"
"""How transformers, diffusers and huggingface_hub number shards: `model-00001-of-00002.safetensors`."""


def lone_shard(path: str) -> tuple[Problem, ...]:
    """A warning if the file at `path` is one of several shards: an index beside it lists it, or its name numbers it."""
    directory, name = os.path.split(path)
    if index := _index_of(directory, name):
        message = f"{shown(path)}: is one of the shards that {shown(os.path.basename(index))} lists"
        return (_warning(message, f"name {shown(index)} instead"),)
    if (shards := _numbered(name)) > 1:
        message = f"{shown(path)}: is one of {shards} shards, and their index is not there"
        return (_warning(message, "restore the index, and name that instead"),)
    return ()


def _warning(message: str, hint: str) -> Problem:
    within = "layers are counted within this file, as by {-1}, and no rule reaches the other shards"
    return Problem("file.shard", f"{message}: {within}", hint)


def _index_of(directory: str, name: str) -> str | None:
    """The path of the first index in `directory` that lists `name` beside other shards."""
    indexes = sorted(filter(_is_index, os.listdir(directory or ".")))
    if not indexes:
        return None
    from initctl.formats.directories.index import Index

    for index in indexes:
        path = os.path.join(directory, index)
        try:
            shards = Index(path).shards
        except InputError:  # the fault is not this file's
            continue
        if name in shards and len(shards) > 1:
            return path
    return None


def _is_index(name: str) -> bool:
    found = weight_name(name)
    return found is not None and found.is_index


def _numbered(name: str) -> int:
    """How many shards there are, according to the name of one of them; 0 if it is not one."""
    found = re.fullmatch(_NUMBERED, name, re.DOTALL)
    return int(found["shards"]) if found else 0
