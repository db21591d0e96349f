"""A directory that holds a checkpoint: which of its files are the checkpoint, and what to say if none are."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NoReturn

from initctl.errors import InputError, Problem, UsageError, listed, shown
from initctl.formats.directories.companions import around
from initctl.formats.directories.folder import read_folder
from initctl.formats.directories.index import INDEXES, plain_name
from initctl.formats.directories.location import Location
from initctl.formats.directories.nested import folders_of_orbax, folders_with_weights, newest_first, parent_of
from initctl.formats.directories.sharded import read_index
from initctl.formats.directories.twins import is_another_copy
from initctl.formats.directories.unindexed import read_unindexed
from initctl.formats.directories.weight_names import DISTRIBUTED_CHUNKS, weight_name
from initctl.formats.format_names import DISTRIBUTED_METADATA
from initctl.formats.mistaken.not_checkpoints import refuse_directory
from initctl.formats.registry import REGISTRY
from initctl.formats.together import together
from initctl.suggestions import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from initctl.formats.checkpoint import Checkpoint
    from initctl.formats.directories.folder import Folder
    from initctl.formats.directories.weight_names import WeightName

_TORCH_MODEL = "pytorch_model.bin"
"""What transformers calls a model beside other files of torch.save."""


class Undecided(Exception):  # noqa: N818 - a fact that `read_directory` turns into an error
    """It cannot be seen from names which file is the checkpoint: with a code, the fault, and a hint."""

    def __init__(self, code: str, fault: str, hint: str) -> None:
        super().__init__(fault)
        self.code, self.hint = code, hint


def entrance(names: Iterable[str]) -> list[str]:
    """By which of `names`, those of the files directly in a folder, its checkpoint is read: an index, or files of
    weights, whose content says whether they belong together. Empty if there is nothing to choose from.

    Safetensors are preferred to files of torch.save, an index to files without one, and weights without a variant to
    those with one, as transformers and diffusers do. Raises `Undecided`.
    """
    names = list(names)
    found = [weights for name in names if (weights := weight_name(name))]
    for kind in INDEXES:
        if fitting := [weights for weights in found if weights.suffix in kind.shards]:
            return _chosen(_plain(fitting))
    if any(name.endswith(DISTRIBUTED_CHUNKS) for name in names):
        hint = "saving was interrupted? take another checkpoint"
        raise Undecided("incomplete", f"holds {DISTRIBUTED_CHUNKS} files and no {DISTRIBUTED_METADATA}", hint)
    return []


def _plain(found: Sequence[WeightName]) -> list[WeightName]:
    """Without the variants of what is there without one, and without other copies of what is there."""
    plain = {weights.stem for weights in found if not weights.variant}
    plainer = [weights for weights in found if not weights.variant or weights.stem not in plain]
    return [weights for weights in plainer if not is_another_copy(weights.name)] or plainer


def _chosen(found: Sequence[WeightName]) -> list[str]:
    names = [weights.name for weights in found]
    indexes = [weights.name for weights in found if weights.is_index]
    if len(indexes) > 1:
        raise Undecided("ambiguous", f"holds several indexes: {_listed(indexes)}", "name one of them")
    return indexes or ([_TORCH_MODEL] if _TORCH_MODEL in names else names)


def read_directory(path: str, root: str | None, component: str | None = None) -> Checkpoint:
    """The checkpoint that the directory at `path` holds, or that its folder `component` does, as a part of the whole.

    Raises `InputError`; `UsageError` if no tensor is at `root`, or there is no such folder.
    """
    location = _location(path, component)
    here = read_folder(location.home, location.directory)
    if whole := REGISTRY.of_directory(here.files):
        return whole.read(location, here, root)
    try:
        names = entrance(here.files)
    except Undecided as fact:
        _refuse(location, fact.code, str(fact), fact.hint)
    if not names:
        _refuse_empty(location, here)
    chosen = weight_name(names[0])
    if chosen and chosen.is_index:
        return read_index(os.path.join(location.path, chosen.name), root, location)
    return _without_index(location, here, names, root)


def _location(path: str, component: str | None) -> Location:
    directory = os.path.realpath(path)
    if component is None:
        return Location(path, directory, directory)
    component = component.rstrip("/")
    home = os.path.join(directory, component)
    if plain_name(component) or os.path.realpath(home) != home or not os.path.isdir(home):
        hint = did_you_mean(component, folders_with_weights(directory), n=3) or "name a folder below it"
        fault = f"component: {shown(path)} has no folder {shown(component)}"
        raise UsageError(Problem("usage.component", fault, hint))
    return Location(os.path.join(path, component), directory, directory, component)


def _without_index(location: Location, here: Folder, names: Sequence[str], root: str | None) -> Checkpoint:
    """The checkpoint in one file of a directory, or in several that belong together."""
    tables = read_unindexed(location, names)
    companions, warnings = around(location, here, [table.file.name for table in tables], weight_name(names[0]))
    return together(location, tables[0].format, tables, root=root, companions=companions, warnings=warnings)


def _refuse_empty(location: Location, here: Folder) -> NoReturn:
    """There is nothing of weights directly in the folder: say where there is, if it can be seen."""
    if outside := [name for name in here.left_out if weight_name(name)]:
        fault = f"{_listed(outside)}: is not a regular file, nor a link to one in the directory"
        _refuse(location, "escape", fault, "if a link leads to the weights elsewhere, name the file there")
    if folders := folders_with_weights(location.home):
        _refuse_below(location, folders)
    if orbax := folders_of_orbax(location.home):
        named = _listed([folder or "." for folder in newest_first(location.home, orbax)[0]])
        fault = f"holds checkpoints of orbax, which initctl does not read: {named}"
        _refuse(location, "orbax", fault, "save the parameters as safetensors")
    refuse_directory(location.path, here)
    kinds = " or ".join(kind.shards[0] for kind in INDEXES)
    _refuse(location, "empty", f"holds no {kinds} file, and no index of such files", "name a folder that holds weights")


def _refuse_below(location: Location, folders: Sequence[str]) -> NoReturn:
    parent = parent_of(location.home)
    ordered, is_known = newest_first(location.home, folders)
    kind = f"is {parent.words}; its" if parent else "holds no weights itself; the"
    order = ", the newest first" if is_known else ""
    fault = f"{kind} weights are in {_listed([f'{folder}/' for folder in ordered])}{order}"
    first = ordered[0]
    whole = f"add --component {shown(first)}, which writes the whole directory"
    hint = f"name a folder, such as {shown(os.path.join(location.path, first))}, or {whole}"
    _refuse(location, "below", fault, hint)


def _listed(names: Sequence[str]) -> str:
    return listed([shown(name) for name in names], at_most=5)


def _refuse(location: Location, code: str, fault: str, hint: str | None = None) -> NoReturn:
    raise InputError(Problem(f"directory.{code}", f"{shown(location.path)}: {fault}", hint))
