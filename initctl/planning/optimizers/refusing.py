"""Why an optimizer is not reset."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

from initctl.errors import FitError, Problem, shown
from initctl.planning.action import RESET

if TYPE_CHECKING:
    from initctl.formats.optimizers import Optimizer

WEIGHTS_ALONE = "load the weights alone, and start training with a new optimizer"
ON_ITS_OWN = "save each network in its own file with its optimizer, or leave the flag out"


def refuse(message: str, hint: str) -> NoReturn:
    """Raise the `FitError` for an optimizer that cannot be reset."""
    raise FitError(Problem("optimizer.unmatched", f"{RESET}: {message}", hint))


def uncertain(optimizer: Optimizer, why: str, remedy: str = "") -> NoReturn:
    """Raise the `FitError` for an optimizer whose parameters cannot be matched with certainty.

    A `remedy` is an alternative to starting with a new optimizer.
    """
    hint = f"{remedy}, or {start_anew(optimizer)}" if remedy else start_anew(optimizer)
    refuse(f"{shown(optimizer.label)}: its parameters cannot be matched with certainty: {why}", hint)


def start_anew(optimizer: Optimizer) -> str:
    """A hint if `optimizer` cannot be reset: leaving the flag out does not help if training loads its file."""
    if optimizer.file is None:
        return "leave the flag out, and start training with a new optimizer"
    return without_file(optimizer.file)


def without_file(name: str) -> str:
    """A hint if the optimizer in the file `name` cannot be reset."""
    return f"leave the flag out, remove {shown(name)} from the result, and start training with a new optimizer"
