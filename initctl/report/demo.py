"""A demonstration: the command, what it did, and each tensor before and after."""

from __future__ import annotations

from typing import TYPE_CHECKING

from initctl.demo import RULES
from initctl.display.tables import Listing
from initctl.errors import shown

if TYPE_CHECKING:
    from initctl.demo import Change, Demo
    from initctl.display.tables import Report

_HEADING = ("tensor", "mean", "mean after", "std", "std after", "bytes")


def demo_report(demo: Demo) -> Report:
    """Everything that happened, ending with whether it is what should have happened."""
    rules = [f"      -r '{rule}'" for rule in RULES]
    command = " \\\n".join((f"$ initctl plan {shown(demo.checkpoint)}", *rules))
    changes = Listing(_HEADING, list(map(_row, demo.changes)), right=_HEADING[1:-1])
    apply = f"$ initctl apply {shown(demo.checkpoint)} -o {shown(demo.applied.output)} …"
    planned = (command, "", *demo.plan.report(unfold=True), "")
    return [*planned, apply, "", *demo.applied.summary(), "", changes, "", _verdict(demo)]


def _row(change: Change) -> tuple[str, ...]:
    (mean, std), (mean_after, std_after) = change.before, change.after
    numbers = (mean, mean_after, std, std_after)
    return shown(change.tensor), *(f"{value:.4f}" for value in numbers), "changed" if change.changed else "the same"


def _verdict(demo: Demo) -> str:
    if wrong := [shown(change.tensor) for change in demo.changes if not change.verified]:
        return f"read back: {', '.join(wrong)} is not what it should be"
    return "read back: ruled tensors hold the values of their rules, all others are the same to the byte"
