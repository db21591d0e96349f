"""`initctl verify`: whether a checkpoint holds exactly what the rules give."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

import initctl
from initctl.cli.options import CHECKPOINT, SAVED_PLAN, UNFOLD, RuleOptions, grouped, written
from initctl.cli.output import Output

if TYPE_CHECKING:
    from initctl.planning import Plan


@grouped
def verify(
    checkpoint: str = CHECKPOINT,
    *,
    rules: RuleOptions,
    plan: str | None = SAVED_PLAN,
    against: str | None = typer.Option(
        None,
        "--against",
        metavar="CHECKPOINT",
        help="What the rules were applied to: all that they keep must be as there.",
    ),
    sample: int | None = typer.Option(
        None, "--sample", metavar="N", callback=written, help="Compare N elements of each tensor only."
    ),
    unfold: bool = UNFOLD,
    out: Output,
) -> None:
    """Check that a checkpoint holds exactly what the rules give.

    Every value is computed once more and compared; nothing is written. If one differs, the status is 1.

    Example: initctl verify init.safetensors -r '*.bias=zeros' --against net.safetensors
    """
    original, result = (checkpoint, None) if against is None else (against, checkpoint)
    if plan is None:
        expected: Plan | str = original
    elif against is None:  # without an original, a saved plan is for what it gave
        expected = initctl.load_plan(plan, result=original)
    else:
        expected = initctl.load_plan(plan, original)
    with out.events("comparing") as on_event:
        found = initctl.verify(
            expected,
            result,
            sample=sample,
            threads=out.threads,
            on_event=on_event,
            **vars(rules),
        )
    out.result("verify", found.to_json, lambda: found.report(unfold=unfold), holds=found.holds)
