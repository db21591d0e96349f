"""Other files in a checkpoint's directory: which are stale, which a copy leaves out, and the warnings about them."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Sequence
from typing import TYPE_CHECKING

from initctl.errors import Problem, listed, shown
from initctl.formats.checkpoint import LEFT_OUT, STALE, Checkpoint
from initctl.formats.directories.folder import read_folder
from initctl.formats.directories.nested import folders_with_weights
from initctl.formats.directories.weight_names import FOLDERS, WeightName, is_another_copy, twins, weight_name

if TYPE_CHECKING:
    from initctl.formats.directories.location import Location

_OTHER_WEIGHTS = "directory.other_weights"
_WEIGHTS_BELOW = "directory.weights_below"
_WARNINGS = {
    STALE: (
        "also contains the same model in {}, which no rule changes",
        "apply requires --stale drop, which leaves such files out, or --stale keep",
    ),
    _OTHER_WEIGHTS: (
        "also contains {}, left unchanged",
        "delete stale files, since a loader may prefer them",
    ),
    _WEIGHTS_BELOW: (
        "also contains weights in {}, left unchanged",
        "use --component FOLDER to initialize one such folder; --require-all does not cover them",
    ),
    LEFT_OUT: (
        "a copy at another place leaves out {}",
        "only regular files, and links to files in the directory, are copied; copy others yourself if you trust them",
    ),
}
"""By code: the fault of some files, and what to do."""


def companions(
    location: Location, own: Collection[str], chosen: WeightName | None
) -> tuple[tuple[str, ...], tuple[Problem, ...]]:
    """The stale files in the directory at `location`, which contain the same model as the checkpoint, and warnings.

    `own` are the checkpoint's files. `chosen` is the file of weights, or the index, that was chosen.
    """
    path, here = location.path, location.folder
    beside = [name for name in here.files if location.named(name) not in own]
    found = [*twins(beside, chosen), *_in_folders(location)] if chosen else []
    known = [*found, *([chosen.name] if chosen else [])]
    others = [n for n in beside if n not in known and (weights := weight_name(n)) and weights.is_of_model]
    stale = tuple(map(location.named, found))
    below = [f"{name}/" for name in map(location.named, folders_with_weights(location.home))]
    elsewhere = [folder for folder in below if not any(name.startswith(folder) for name in (*own, *stale))]
    warnings = (
        *_warning(STALE, path, found),
        *_warning(_OTHER_WEIGHTS, path, others),
        *_warning(_WEIGHTS_BELOW, location.whole, elsewhere),
        *_warning(LEFT_OUT, location.whole, list(map(location.named, here.left_out))),
    )
    return stale, warnings


def left_out_below(checkpoint: Checkpoint) -> tuple[Problem, ...]:
    """A warning about files that a copy leaves out, except those directly in the checkpoint's folder."""
    names = checkpoint.below.left_out
    return _warning(LEFT_OUT, checkpoint.whole, [n for n in names if os.path.dirname(n) != checkpoint.component])


def _in_folders(location: Location) -> Iterator[str]:
    """Files in folders that contain the same model."""
    for folder in location.folder.folders:
        if folder in FOLDERS:
            names = read_folder(os.path.join(location.home, folder), location.directory).files
            yield from (f"{folder}/{name}" for name in names if weight_name(name) or is_another_copy(name))


def _warning(code: str, path: str, names: Sequence[str]) -> tuple[Problem, ...]:
    fault, hint = _WARNINGS[code]
    named = listed([shown(name) for name in names], at_most=5)
    return (Problem(code, f"{shown(path)}: {fault.format(named)}", hint),) if names else ()
