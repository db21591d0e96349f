"""A directory with a checkpoint: which of its files are the checkpoint, and the errors if none are."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, NoReturn

from initctl.errors import InputError, Problem, UsageError, listed, shown
from initctl.formats.directories.folder import plain_name
from initctl.formats.directories.index import read_index
from initctl.formats.directories.location import Location
from initctl.formats.directories.nested import PARENTS, folders_of_orbax, folders_with_weights, newest_first
from initctl.formats.directories.weight_names import (
    DISTRIBUTED_CHUNKS,
    DISTRIBUTED_METADATA,
    READ,
    SAFETENSORS,
    is_another_copy,
    weight_name,
)
from initctl.formats.file_formats import read_table
from initctl.formats.mistaken.not_checkpoints import refuse_directory
from initctl.formats.opening import is_folder, names_in, status_at
from initctl.formats.parts.lone_files import alone
from initctl.formats.parts.ranks import ranks_among
from initctl.formats.parts.slices import are_slices, put_together
from initctl.formats.together import Found
from initctl.suggestions import did_you_mean

if TYPE_CHECKING:
    from initctl.formats.directories.weight_names import WeightName
    from initctl.formats.table import FileTable

_TORCH_MODEL = "pytorch_model.bin"
"""The name that transformers gives a model; other files of torch.save may be beside it."""


def read_directory(path: str, component: str | None = None) -> Found:
    """The checkpoint in the directory at `path`, or in its folder `component`.

    Raises `InputError`, and `UsageError` if the folder does not exist.
    """
    location = _location(path, component)
    if DISTRIBUTED_METADATA in location.folder.files:
        from initctl.formats.distributed.directory import read_distributed

        return read_distributed(location)
    names = entrance(location.folder.files, location.path)
    if not names:
        _refuse_empty(location)
    chosen = weight_name(names[0])
    if chosen and chosen.is_index:
        return read_index(os.path.join(location.path, chosen.name), location)
    tables = _without_index(location, names)
    return Found(location, tables[0].format, tables, chosen=chosen)


def _location(path: str, component: str | None) -> Location:
    directory = os.path.realpath(path)
    if component is None:
        return Location(path, directory, directory)
    component = component.rstrip("/")
    home = os.path.join(directory, component)
    if plain_name(component) or os.path.realpath(home) != home or not is_folder(home):
        hint = did_you_mean(component, folders_with_weights(directory), n=3) or "name a folder below the directory"
        fault = f"component: {shown(path)} has no folder {shown(component)}"
        raise UsageError(Problem("usage.component", fault, hint))
    return Location(os.path.join(path, component), directory, directory, component)


def entrance(names: Iterable[str], path: str) -> list[str]:
    """The files to read as the checkpoint: an index, or files of weights. Empty if there are none.

    `names` are those of the files directly in the folder at `path`. The order of preference is that of transformers and
    diffusers: safetensors before files of torch.save, an index before files without one, and weights without a variant
    before those with one. Several files may be one checkpoint; their content decides. Raises `InputError` if the names
    are ambiguous.
    """
    names = list(names)
    found = [weights for name in names if (weights := weight_name(name))]
    for suffixes in READ:
        if fitting := [weights for weights in found if weights.suffix in suffixes]:
            return _chosen(_plain(fitting), path)
    if any(name.endswith(DISTRIBUTED_CHUNKS) for name in names):
        fault = f"contains {DISTRIBUTED_CHUNKS} files but no {DISTRIBUTED_METADATA}"
        _refuse(path, "incomplete", fault, "saving may have been interrupted; use another checkpoint")
    return []


def _plain(found: Sequence[WeightName]) -> list[WeightName]:
    """`found` without variants of weights that are there without one, and without other copies of the model."""
    plain = {weights.stem for weights in found if not weights.variant}
    plainer = [weights for weights in found if not weights.variant or weights.stem not in plain]
    return [weights for weights in plainer if not is_another_copy(weights.name)] or plainer


def _chosen(found: Sequence[WeightName], path: str) -> list[str]:
    names = [weights.name for weights in found]
    indexes = [weights.name for weights in found if weights.is_index]
    if len(indexes) > 1:
        _refuse(path, "ambiguous", f"contains several indexes: {_listed(indexes)}", "name one of them")
    return indexes or ([_TORCH_MODEL] if _TORCH_MODEL in names else names)


def _without_index(location: Location, names: Sequence[str]) -> list[FileTable]:
    """The tables of the files `names` of a directory without an index: one file, or the slices of ranks."""
    if len(names) > 1 and not names[0].endswith(SAFETENSORS):
        _refuse_several(location.path, names)
    first = _table(location, names[0])
    if are_slices(first):
        return put_together(location.whole, [first, *(_table(location, name) for name in names[1:])])
    if len(names) > 1:
        _refuse_several(location.path, names)
    return [alone(os.path.join(location.path, names[0]), first)]


def _table(location: Location, name: str) -> FileTable:
    return read_table(os.path.join(location.path, name), location.named(name))


def _refuse_several(path: str, names: Sequence[str]) -> NoReturn:
    """Refuse the files `names`, since nothing says how they belong together."""
    if ranks := ranks_among(names):
        fault = f"contains {_listed(names)}: each rank of {ranks.writer} saved its own part of the tensors"
        _refuse(path, "ranks", fault, ranks.remedy)
    _refuse(path, "ambiguous", f"contains {_listed(names)} but no index", "name one of them, or restore the index")


def _refuse_empty(location: Location) -> NoReturn:
    """Refuse a folder without weights directly in it. The message says where weights are, if any are found."""
    path, home = location.path, location.home
    if outside := [name for name in location.folder.left_out if weight_name(name)]:
        fault = f"{_listed(outside)}: not a regular file, or a link to a file in the directory"
        _refuse(path, "escape", fault, "if it is a link to weights elsewhere, name the file that it leads to")
    if folders := folders_with_weights(home):
        _refuse_below(location, folders)
    if orbax := folders_of_orbax(home):
        named = _listed([folder or "." for folder in newest_first(home, orbax)[0]])
        fault = f"contains orbax checkpoints, which initctl cannot read: {named}"
        _refuse(path, "orbax", fault, "save the parameters as safetensors")
    refuse_directory(path, location.folder)
    kinds = " or ".join(suffixes[0] for suffixes in READ)
    _refuse(path, "empty", f"contains no {kinds} file, and no index of such files", "name a folder with weights")


def _refuse_below(location: Location, folders: Sequence[str]) -> NoReturn:
    parent = next((kind for kind in PARENTS if status_at(os.path.join(location.home, kind.marker))), None)
    ordered, is_known = newest_first(location.home, folders)
    if ranks := ranks_among([f"{folder}/{name}" for folder in folders for name in _weights_in(location.home, folder)]):
        fault = f"each rank of {ranks.writer} saved its own part of the tensors, in {_listed(folders)}"
        _refuse(location.path, "ranks", fault, ranks.remedy)
    kind = f"is {parent.words}; its" if parent else "contains no weights itself; the"
    order = ", newest first" if is_known else ""
    fault = f"{kind} weights are in {_listed([f'{folder}/' for folder in ordered])}{order}"
    first = ordered[0]
    whole = f"add --component {shown(first)} to write the whole directory"
    hint = f"name a folder, such as {shown(os.path.join(location.path, first))}, or {whole}"
    _refuse(location.path, "below", fault, hint)


def _weights_in(home: str, folder: str) -> list[str]:
    return [name for name in names_in(os.path.join(home, folder)) if weight_name(name)]


def _listed(names: Sequence[str]) -> str:
    return listed([shown(name) for name in names], at_most=5)


def _refuse(path: str, code: str, fault: str, hint: str | None = None) -> NoReturn:
    raise InputError(Problem(f"directory.{code}", f"{shown(path)}: {fault}", hint))
