"""`initctl verify`: whether a checkpoint holds exactly what the rules give."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

import initctl
from initctl.cli.numbers import count_parser
from initctl.cli.options import Checkpoint, RuleOptions, SavedPlan, grouped
from initctl.cli.output import Output
from initctl.execution import Chosen, Progress
from initctl.planning import Plan

if TYPE_CHECKING:
    from initctl.execution import Event

Against = Annotated[
    str | None,
    typer.Option(
        "--against", metavar="CHECKPOINT", help="What the rules were applied to: all that they keep must be as there."
    ),
]
Sample = Annotated[
    int | None,
    typer.Option(
        "--sample", metavar="N", callback=count_parser("sample"), help="Compare N elements of each tensor only."
    ),
]


@grouped
def verify(
    checkpoint: Checkpoint,
    *,
    rules: RuleOptions,
    plan: SavedPlan = None,
    against: Against = None,
    sample: Sample = None,
    out: Output,
) -> None:
    """Check that a checkpoint holds exactly what the rules give.

    Every value is computed once more and compared; nothing is written. If one differs, the status is 1.

    Example: initctl verify init.safetensors -r '*.bias=zeros' --against net.safetensors
    """
    with out.progress("comparing") as on_progress:

        def tell(event: Plan | Event) -> None:
            match event:
                case Plan():
                    out.warn(event.warnings)
                case Chosen(device, engine, reason):
                    out.log(f"{device}: engine {engine}: {reason}")
                case Progress() if on_progress:
                    on_progress(event)

        original = checkpoint if against is None else against
        result = None if against is None else checkpoint
        found = initctl.verify(
            original if plan is None else _loaded(plan, original, result),
            result,
            sample=sample,
            threads=out.threads,
            on_event=tell,
            **vars(rules),
        )
    status = 0 if found.holds else 1
    out.result("verify", found.to_json, found.report, status=status)
    if status:
        raise typer.Exit(status)


def _loaded(plan: str, original: str, result: str | None) -> Plan:
    """The saved plan for `original`, or, if that is all there is, for what the plan gave."""
    return initctl.load_plan(plan, result=original) if result is None else initctl.load_plan(plan, original)
