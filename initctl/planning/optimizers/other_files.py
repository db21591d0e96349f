"""Optimizers in other files of a checkpoint: set back there, as part of the same change."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from initctl.errors import shown
from initctl.formats import beside, with_beside
from initctl.planning.optimizers.refusing import refuse, without_file

if TYPE_CHECKING:
    from initctl.formats import Beside, Checkpoint


def with_optimizers_beside(checkpoint: Checkpoint) -> Checkpoint:
    """`checkpoint` with the files of optimizers beside its weights among those that may be rewritten.

    Raises `FitError` if one of them cannot be set back there.
    """
    found = beside(checkpoint)
    for one in found:
        _check(one, checkpoint)
    return with_beside(checkpoint, found) if found else checkpoint


def _check(found: Beside, checkpoint: Checkpoint) -> None:
    place, hint = shown(found.path), without_file(found.name)
    if found.has_copies:
        refuse(f"{place}: holds copies of parameters ({found.has_copies}), which resuming puts in their place", hint)
    if found.table is None:
        refuse(f"{place}: holds an optimizer in a form that cannot be set back", hint)
    if not checkpoint.is_directory:
        directory = os.path.dirname(checkpoint.path) or "."
        why = f"{place}: holds the optimizer, and only {shown(checkpoint.path)} is written"
        refuse(why, f"name the directory, {shown(directory)}, instead of the file")
