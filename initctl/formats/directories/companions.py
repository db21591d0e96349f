"""What a directory holds beside a checkpoint's tensors: what goes along with a copy, and what is said about it."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

from initctl.errors import Problem, listed, shown
from initctl.formats.directories.folder import files_below, read_folder
from initctl.formats.directories.nested import folders_with_weights
from initctl.formats.directories.twins import FOLDERS, holds_twins, twins
from initctl.formats.directories.weight_names import weight_name

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from initctl.formats.checkpoint_file import CheckpointFile
    from initctl.formats.directories.folder import Below, Folder
    from initctl.formats.directories.location import Location
    from initctl.formats.directories.weight_names import WeightName

STALE = "directory.stale"
"""The code of the warning about stale twins, which an answer to it makes needless."""


@dataclass(frozen=True)
class Companions:
    """The files of `directory` that hold no tensor of a checkpoint, whose own are the `tensor_files`. Messages call the
    directory `path`.

    `names` are those directly in the checkpoint's folder, relative to the directory; they and the `stale` ones among
    them, which hold the same model once more, are known at once. All that is below is read when it is first asked for:
    only a copy and `verify` need it. `known_left_out` is what is directly in the folder and no copy takes along.
    """

    path: str
    directory: str
    tensor_files: frozenset[str]
    names: tuple[str, ...] = ()
    stale: tuple[str, ...] = ()
    known_left_out: tuple[str, ...] = ()

    @cached_property
    def _below(self) -> Below:
        return files_below(self.directory)

    @cached_property
    def files(self) -> tuple[CheckpointFile, ...]:
        """All of them, by name. Raises `InputError` if a folder cannot be read, since a copy would lose it."""
        return tuple(file for file in self._below.files if file.name not in self.tensor_files)

    def without(self, names: Collection[str]) -> Companions:
        """All but the files `names`, which are among the checkpoint's own now."""
        return replace(self, tensor_files=self.tensor_files.union(names))

    def left_out_below(self) -> tuple[Problem, ...]:
        """A warning about what a copy of the directory leaves out, beyond what is known at once."""
        return left_out(self.path, [name for name in self._below.left_out if name not in self.known_left_out])


def left_out(path: str, names: Sequence[str]) -> tuple[Problem, ...]:
    """A warning if the directory holds what a copy of it will not."""
    if not names:
        return ()
    message = f"{shown(path)}: a copy leaves out {_listed(names)}"
    hint = "only regular files and links to files in the directory go along; put the file itself in place of a link"
    return (Problem("directory.left_out", message, hint),)


def around(
    location: Location, here: Folder, own: Collection[str], chosen: WeightName | None
) -> tuple[Companions, tuple[Problem, ...]]:
    """What is around the files `own` of a checkpoint at `location`, and warnings about it.

    `here` is what its folder holds, `chosen` is the name that it was read by, if that is one of weights.
    """
    tensor_files = frozenset(own)
    beside = [name for name in here.files if location.named(name) not in tensor_files]
    stale = [*twins(beside, chosen), *_in_folders(location, here)] if chosen else []
    known = [*stale, *([chosen.name] if chosen else [])]
    others = [name for name in beside if name not in known and _is_of_model(name)]
    left = [location.named(name) for name in here.left_out]
    named = [location.named(name) for name in stale]
    below = [name for name in _folders(location) if not _belongs(name, [*own, *named])]
    names = tuple(map(location.named, beside))
    whole, path = location.whole, location.path
    companions = Companions(whole, location.directory, tensor_files, names, tuple(named), tuple(left))
    return companions, (
        *_stale(path, stale),
        *_other_weights(path, others),
        *_weights_below(location, below),
        *left_out(whole, left),
    )


def _in_folders(location: Location, here: Folder) -> Iterator[str]:
    """Files in folders that hold the same model once more."""
    for folder in here.folders:
        if folder in FOLDERS:
            names = read_folder(os.path.join(location.home, folder), location.directory).files
            yield from (f"{folder}/{name}" for name in names if holds_twins(name))


def _is_of_model(name: str) -> bool:
    found = weight_name(name)
    return found is not None and found.is_of_model


def _folders(location: Location) -> list[str]:
    """The folders below the checkpoint's that hold weights: beside a component that was chosen, the others were not."""
    return [location.named(folder) for folder in folders_with_weights(location.home)]


def _belongs(folder: str, names: Sequence[str]) -> bool:
    """Whether the weights in `folder` are the checkpoint's, or named already: those with `names`."""
    return any(name.startswith(f"{folder}/") for name in names)


def _stale(path: str, names: Sequence[str]) -> tuple[Problem, ...]:
    if not names:
        return ()
    message = f"{shown(path)}: also holds {_listed(names)}: the same model in another file, which no rule reaches"
    return (Problem(STALE, message, "apply needs --stale drop, which leaves such files out, or --stale keep"),)


def _other_weights(path: str, names: Sequence[str]) -> tuple[Problem, ...]:
    """A warning if the directory holds weights that are not this checkpoint's and go along unchanged."""
    if not names:
        return ()
    message = f"{shown(path)}: also holds {_listed(names)}, which no rule reaches"
    return (Problem("directory.other_weights", message, "remove what is out of date: another reader may prefer it"),)


def _weights_below(location: Location, folders: Sequence[str]) -> tuple[Problem, ...]:
    """A warning if folders below hold weights: those of a component, or of an older checkpoint."""
    if not folders:
        return ()
    named = _listed([f"{folder}/" for folder in folders])
    message = f"{shown(location.whole)}: also holds weights in {named}, which no rule reaches"
    hint = "they stay as they are, even with --require-all; --component FOLDER initializes one such folder"
    return (Problem("directory.weights_below", message, hint),)


def _listed(names: Sequence[str]) -> str:
    return listed([shown(name) for name in names], at_most=5)
