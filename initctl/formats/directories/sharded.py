"""A checkpoint in shards, by its index."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from initctl.errors import InputError, Problem, listed, shown
from initctl.formats.checkpoint_file import CheckpointFile
from initctl.formats.directories.companions import around
from initctl.formats.directories.folder import is_within, read_folder, status_within
from initctl.formats.directories.index import Index
from initctl.formats.directories.location import Location
from initctl.formats.directories.weight_names import WeightName, weight_name
from initctl.formats.files import read_table
from initctl.formats.table import FileTable
from initctl.formats.together import together

if TYPE_CHECKING:
    from collections.abc import Sequence

    from initctl.formats.checkpoint import Checkpoint
    from initctl.formats.directories.folder import Folder

_OF_ONE_SAVE = "index and shards are of different saves: get all files of one of them"


def read_index(index_path: str, root: str | None, location: Location | None = None) -> Checkpoint:
    """The checkpoint whose index is at `index_path`, at `location` if that is known to be a directory.

    Raises `InputError`, and `UsageError` if no tensor is at `root`.
    """
    if location is None:
        directory = os.path.realpath(os.path.dirname(index_path))  # the index may be a link, as in Hugging Face's cache
        location = Location(index_path, directory, directory)
    read = Index(index_path)
    here = read_folder(location.home, location.directory)
    _check_shards(read, location)
    _check_no_rival(read, here)
    tables = [read_table(os.path.join(location.home, shard), location.named(shard)) for shard in read.shards]
    kinds = sorted({table.format for table in tables})
    if len(kinds) > 1:
        read.refuse("mixed", f"its shards are of several formats: {', '.join(kinds)}")
    _check_agreement(read, tables)
    described = _description(index_path, location, f"{kinds[0]}-sharded")
    own = [table.file.name for table in tables]
    companions, warnings = around(location, here, own, read.name or _of_shard(read.shards[0]))
    return together(
        location,
        f"{kinds[0]}-sharded",
        tables,
        root=root,
        description=described,
        companions=companions,
        warnings=warnings,
    )


def _of_shard(shard: str) -> WeightName | None:
    return weight_name(os.path.basename(shard))


def _description(index_path: str, location: Location, kind: str) -> FileTable | None:
    """The table of the index, which holds no tensor, if it is in the directory."""
    name = os.path.basename(index_path)
    status = status_within(os.path.join(location.home, name), location.directory)
    return FileTable(kind, CheckpointFile.of(location.named(name), status), (), {}) if status else None


def _check_shards(read: Index, location: Location) -> None:
    """They are there, and in the directory: a link that leaves it is followed into Hugging Face's cache alone."""
    paths = {shard: os.path.join(location.home, shard) for shard in read.shards}
    if missing := [shard for shard, path in paths.items() if not os.path.exists(path)]:
        named = listed([shown(shard) for shard in missing], at_most=5)
        read.refuse("shard_missing", f"{named}: named by the index, but not there")
    for shard, path in paths.items():
        if not is_within(path, location.directory):
            read.refuse("escape", f"{shown(shard)}: is a link that leaves the directory of the index")


def _check_no_rival(read: Index, here: Folder) -> None:
    """`model.safetensors` beside `model.safetensors.index.json` is loaded by some readers in its place."""
    rival = read.name.whole if read.name else ""
    if rival in here.files and rival not in read.shards:
        hint = "remove the one that is out of date"
        message = f"{shown(read.path)}: {shown(rival)} is beside it, and holds the model too"
        raise InputError(Problem("directory.ambiguous", message, hint))


def _check_agreement(read: Index, tables: Sequence[FileTable]) -> None:
    """Index and shards list the same tensors in the same places."""
    found: dict[str, str] = {}
    for shard, table in zip(read.shards, tables, strict=True):
        for _, tensor in table.entries:
            if tensor.name in found:
                both = f"is in both {shown(found[tensor.name])} and {shown(shard)}"
                read.refuse_entry("duplicate", tensor.name, both, _OF_ONE_SAVE)
            found[tensor.name] = shard
    for name, shard in read.weight_map.items():
        if found.get(name) != shard:
            place = f"it is in {shown(found[name])}" if name in found else "no shard holds it"
            read.refuse_entry("tensor_missing", name, f"is not in {shown(shard)}; {place}", _OF_ONE_SAVE)
    if unlisted := [name for name in found if name not in read.weight_map]:
        fault = f"is in {shown(found[unlisted[0]])} but not in the index"
        read.refuse_entry("unlisted", unlisted[0], fault, _OF_ONE_SAVE)
