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


def old_values_kept(checkpoint: Checkpoint) -> tuple[Problem, ...]:
    """Warnings about copies, by writer, in `checkpoint` and in files beside it; and one about optimizers there."""
    inside: dict[str, list[str]] = defaultdict(list)
    for copies in checkpoint.masters:
        inside[copies.writer].append(copies.place)
    found = beside(checkpoint)
    for one in found:
        if one.has_copies:
            inside[one.has_copies].append(one.path)
    problems = [_copies(checkpoint.path, writer, places) for writer, places in inside.items()]
    return (*problems, *_beside(checkpoint, [one.path for one in found if not one.has_copies]))


def _copies(path: str, writer: str, places: list[str]) -> Problem:
    message = (
        f"{shown(path)}: copies of parameters are in {listed(list(map(shown, places)))} ({writer}): "
        "resuming copies them over what is initialized here"
    )
    return Problem("optimizer.copies", message, WEIGHTS_ALONE)


def _beside(checkpoint: Checkpoint, paths: list[str]) -> Iterator[Problem]:
    if paths:
        names = listed(list(map(shown, paths)))
        keeps = "holds an optimizer, which keeps" if len(paths) == 1 else "hold optimizers, which keep"
        message = f"{names}: {keeps} the moments of the tensors that are initialized here"
        where = "" if checkpoint.is_directory else " on the directory"
        yield Problem(
            "optimizer.beside",
            message,
            f"--reset-optimizer{where} resets them if it can match them; or train with a new optimizer",
        )
