"""Optimizers and copies that hold old values of filled tensors, in the checkpoint and in files beside it."""

from __future__ import annotations

import os
from collections.abc import Iterator

from initctl.errors import Problem, listed, shown
from initctl.formats import Beside, Checkpoint, beside, with_beside
from initctl.grouping import grouped
from initctl.planning.optimizers.refusing import WEIGHTS_ALONE, refuse, without_file

_MOMENTS = "the moments of the tensors that are initialized here"
_OLD_SIZES = "moments of the old sizes, which do not fit the tensors that are resized here"
_WAYS_OUT = "resets them if it can match them; or start training with a new optimizer"


def old_values_kept(checkpoint: Checkpoint) -> tuple[Problem, ...]:
    """Warnings about copies, by writer, and about optimizers, in `checkpoint` and in files beside it."""
    found_beside = beside(checkpoint)
    places = [(copies.writer, copies.place) for copies in checkpoint.masters]
    places += [(one.has_copies, one.path) for one in found_beside if one.has_copies]
    problems = [_copies(checkpoint.path, writer, found) for writer, found in grouped(places).items()]
    inside = () if checkpoint.masters else _inside(checkpoint)
    return (*problems, *inside, *_beside(checkpoint, [one.path for one in found_beside if not one.has_copies]))


def _copies(path: str, writer: str, places: list[str]) -> Problem:
    message = (
        f"{shown(path)}: copies of parameters are in {listed(list(map(shown, places)))} ({writer}): "
        "resuming overwrites what is initialized here with them"
    )
    return Problem("optimizer.copies", message, WEIGHTS_ALONE)


def _inside(checkpoint: Checkpoint) -> Iterator[Problem]:
    labels = [shown(optimizer.label) for optimizer in checkpoint.optimizers if optimizer.kinds]
    if labels:
        keeps = "the optimizer at {} keeps" if len(labels) == 1 else "the optimizers at {} keep"
        message = f"{shown(checkpoint.path)}: {keeps.format(listed(labels))} {_moments(checkpoint)}"
        yield Problem("optimizer.inside", message, _way_out(checkpoint, "--reset-optimizer"))


def _beside(checkpoint: Checkpoint, paths: list[str]) -> Iterator[Problem]:
    if paths:
        names = listed(list(map(shown, paths)))
        keeps = "holds an optimizer, which keeps" if len(paths) == 1 else "hold optimizers, which keep"
        flag = "--reset-optimizer" if checkpoint.is_directory else "--reset-optimizer on the directory"
        yield Problem("optimizer.beside", f"{names}: {keeps} {_moments(checkpoint)}", _way_out(checkpoint, flag))


def _moments(checkpoint: Checkpoint) -> str:
    return _OLD_SIZES if checkpoint.resized else _MOMENTS


def _way_out(checkpoint: Checkpoint, flag: str) -> str:
    return WEIGHTS_ALONE if checkpoint.resized else f"{flag} {_WAYS_OUT}"


def with_optimizers_beside(checkpoint: Checkpoint) -> Checkpoint:
    """`checkpoint` with the optimizer files beside its weights, which may then be rewritten.

    Raises `FitError` if one of them cannot be reset.
    """
    found = beside(checkpoint)
    for one in found:
        _check(one, checkpoint)
    return with_beside(checkpoint, found) if found else checkpoint


def _check(found: Beside, checkpoint: Checkpoint) -> None:
    place, hint = shown(found.path), without_file(found.name)
    if found.has_copies:
        refuse(f"{place}: holds copies of parameters ({found.has_copies}), which resuming loads instead", hint)
    if found.table is None:
        refuse(f"{place}: holds an optimizer in a form that cannot be reset", hint)
    if not checkpoint.is_directory:
        directory = os.path.dirname(checkpoint.path) or "."
        why = f"{place}: holds the optimizer, but only {shown(checkpoint.path)} is written"
        refuse(why, f"name the directory, {shown(directory)}, instead of the file")
