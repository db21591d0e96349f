"""A single file, which may be only a part of a checkpoint: one shard, or one rank's file."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from typing import TYPE_CHECKING

from initctl.errors import InputError, Problem, shown
from initctl.formats.directories.location import Location
from initctl.formats.directories.weight_names import weight_name
from initctl.formats.file_formats import read_table
from initctl.formats.opening import names_in
from initctl.formats.parts.ranks import lone_rank, refuse_chunks
from initctl.formats.parts.slices import refuse_lone_slices
from initctl.formats.together import Found

if TYPE_CHECKING:
    from initctl.formats.table import FileTable

_NUMBERED = r".+-\d{5}-of-(?P<shards>\d{5})\.\w+"
"""How transformers, diffusers and huggingface_hub number shards: `model-00001-of-00002.safetensors`."""


def read_file(path: str) -> Found:
    """The checkpoint in one file. Raises `InputError`."""
    folder, name = os.path.split(path)
    directory = os.path.realpath(folder)  # only the system knows where `..` leads after a link
    refuse_chunks(path)
    table = alone(path, read_table(path, name))
    return Found(Location(path, directory, os.path.realpath(path)), table.format, [table])


def alone(path: str, table: FileTable) -> FileTable:
    """The `table` of the file at `path`, with warnings if it is one shard, or one rank's file.

    Raises `InputError` if it contains only slices of tensors.
    """
    refuse_lone_slices(path, table)
    warnings = (*_lone_shard(path), *lone_rank(path, table.of_one_rank))
    return replace(table, warnings=(*table.warnings, *warnings))


def _lone_shard(path: str) -> tuple[Problem, ...]:
    """A warning if the file at `path` is one of several shards: an index beside it lists it, or its name numbers it."""
    directory, name = os.path.split(path)
    numbered = re.fullmatch(_NUMBERED, name, re.DOTALL)
    if index := _index_of(directory, name):
        fault = f"is one of the shards that {shown(os.path.basename(index))} lists"
        hint = f"name {shown(index)} instead"
    elif numbered and int(numbered["shards"]) > 1:
        fault = f"is one of {int(numbered['shards'])} shards, but their index is missing"
        hint = "restore the index, and name it instead"
    else:
        return ()
    within = "rules reach only this file, and {-1} counts only its layers"
    return (Problem("file.shard", f"{shown(path)}: {fault}: {within}", hint),)


def _index_of(directory: str, name: str) -> str | None:
    """The path of the first index in `directory` that lists `name` beside other shards."""
    names = filter(None, map(weight_name, names_in(directory or ".")))
    for index in (found.name for found in names if found.is_index):
        from initctl.formats.directories.index import Index

        path = os.path.join(directory, index)
        try:
            shards = Index(path).shards
        except InputError:  # the fault is not this file's
            continue
        if name in shards and len(shards) > 1:
            return path
    return None
