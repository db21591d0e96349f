"""`initctl verify`: whether a checkpoint holds exactly what the rules give."""

from __future__ import annotations

import typer

import initctl
from initctl.cli.options import CHECKPOINT, SAVED_PLAN, UNFOLD, RuleOptions, grouped, written
from initctl.cli.output import Output


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
    place = "result" if against is None else "checkpoint"  # without an original, a saved plan is for what it gave
    with out.events("comparing") as on_event:
        found = initctl.verify(
            original if plan is None else initctl.load_plan(plan, **{place: original}),
            result,
            sample=sample,
            threads=out.threads,
            on_event=on_event,
            **vars(rules),
        )
    out.result("verify", found.to_json, lambda: found.report(unfold=unfold), holds=found.holds)
