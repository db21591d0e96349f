"""What keeps the old values of tensors that are filled, and training goes on from: optimizers and copies."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from initctl.errors import Problem, listed, shown
from initctl.formats import beside
from initctl.planning.optimizers.refusing import WEIGHTS_ALONE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from initctl.formats import Checkpoint

_MOMENTS = "the moments of the tensors that are initialized here"
_WAYS_OUT = "resets them if it can match them; or train with a new optimizer"


def old_values_kept(checkpoint: Checkpoint) -> tuple[Problem, ...]:
    """Warnings about copies, by writer, and about optimizers, in `checkpoint` and in files beside it."""
    copies: dict[str, list[str]] = defaultdict(list)
    for found in checkpoint.masters:
        copies[found.writer].append(found.place)
    found_beside = beside(checkpoint)
    for one in found_beside:
        if one.has_copies:
            copies[one.has_copies].append(one.path)
    problems = [_copies(checkpoint.path, writer, places) for writer, places in copies.items()]
    inside = () if checkpoint.masters else _inside(checkpoint)
    return (*problems, *inside, *_beside(checkpoint, [one.path for one in found_beside if not one.has_copies]))


def _copies(path: str, writer: str, places: list[str]) -> Problem:
    message = (
        f"{shown(path)}: copies of parameters are in {listed(list(map(shown, places)))} ({writer}): "
        "resuming copies them over what is initialized here"
    )
    return Problem("optimizer.copies", message, WEIGHTS_ALONE)


def _inside(checkpoint: Checkpoint) -> Iterator[Problem]:
    labels = [shown(optimizer.label) for optimizer in checkpoint.optimizers if optimizer.kinds]
    if labels:
        keeps = "the optimizer at {} keeps" if len(labels) == 1 else "the optimizers at {} keep"
        message = f"{shown(checkpoint.path)}: {keeps.format(listed(labels))} {_MOMENTS}"
        yield Problem("optimizer.inside", message, f"--reset-optimizer {_WAYS_OUT}")


def _beside(checkpoint: Checkpoint, paths: list[str]) -> Iterator[Problem]:
    if paths:
        names = listed(list(map(shown, paths)))
        keeps = "holds an optimizer, which keeps" if len(paths) == 1 else "hold optimizers, which keep"
        flag = "--reset-optimizer" if checkpoint.is_directory else "--reset-optimizer on the directory"
        yield Problem("optimizer.beside", f"{names}: {keeps} {_MOMENTS}", f"{flag} {_WAYS_OUT}")
