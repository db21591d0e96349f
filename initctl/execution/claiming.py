"""What is done before any work: keep other processes out, and remove what a killed one left."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from initctl import paths
from initctl.commit.claims import beside, claimed
from initctl.commit.failure import storage_errors
from initctl.commit.leftovers import reclaim
from initctl.errors import Problem, shown
from initctl.stores.places import place_of

if TYPE_CHECKING:
    from initctl.execution.delivery import Delivery


@contextmanager
def alone(delivery: Delivery) -> Iterator[list[Problem]]:
    """No other process of initctl changes what `delivery` replaces during the body. Yields warnings.

    Two processes may write to one output at once: the last one stays. Raises `ConflictError` if another process changes
    what is there.
    """
    with storage_errors(delivery.path):
        target = delivery.plan.checkpoint.target if delivery.output is None else paths.real(delivery.output)
    if place_of(target):
        yield []
        return
    with ExitStack() as stack:
        with storage_errors(delivery.path):
            warnings = [problem for directory in _directories(delivery, target) for problem in reclaim(directory)]
            if delivery.output is not None and paths.is_directory(target):
                with claimed(target):
                    pass  # it is claimed again when it is replaced: until then, another output may take its place
                stack.enter_context(beside(target))
            elif not stack.enter_context(claimed(target, is_shared=delivery.output is not None)):
                warnings += [_unlocked(target)] if delivery.output is None else []
        yield warnings


def _directories(delivery: Delivery, target: str) -> list[str]:
    """Where an earlier run can have left something: beside the target; and in it, if it is a directory."""
    found = {os.path.dirname(target): None}
    if paths.is_directory(target):
        found[target] = None
    if delivery.output is None:
        checkpoint = delivery.plan.checkpoint
        files = (os.path.join(checkpoint.directory, file.name) for file in checkpoint.files)
        found |= {os.path.dirname(paths.real(path)): None for path in files}
    return list(found)


def _unlocked(target: str) -> Problem:
    fault = f"{shown(target)}: the file system cannot lock it, so another process could change it at the same time"
    return Problem("storage.unlocked", fault, "let only one process change it")
