"""`initctl verify`: whether a checkpoint holds exactly what the rules give."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

import initctl
from initctl.cli.options import CHECKPOINT, SAVED_PLAN, UNFOLD, RuleOptions, grouped, written
from initctl.cli.output import Output
from initctl.errors import Problem, UsageError

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
        help="The original checkpoint: what the rules keep must match it.",
    ),
    sample: int | None = typer.Option(
        None, "--sample", metavar="N", callback=written, help="Compare N elements of each tensor only."
    ),
    report: str | None = typer.Option(
        None, "--report", metavar="FILE", help="Check what apply --report wrote to FILE, without rules or the original."
    ),
    unfold: bool = UNFOLD,
    out: Output,
) -> None:
    """Check that a checkpoint holds exactly what the rules give.

    Every value is computed once more and compared; nothing is written. If one differs, the status is 1. With --report,
    digests are compared.

    Example: initctl verify init.safetensors -r '*.bias=zeros' --against net.safetensors
    """
    if report is not None:
        _check_alone(rules, plan, against, sample)
        with out.events("hashing") as on_event:
            checked = initctl.load_manifest(report).verify(checkpoint, threads=out.threads, on_event=on_event)
        out.result("verify", checked.to_json, lambda: checked.report(unfold=unfold), holds=checked.holds)
        return
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


def _check_alone(rules: RuleOptions, *others: object) -> None:
    """Raise `UsageError` if rules, or any of `others`, are given beside a report."""
    from initctl.request import Request

    if any(other is not None for other in others) or Request.of(vars(rules)) != Request.of({}):
        fault = "report: it says what CHECKPOINT must hold"
        raise UsageError(Problem("usage.report", fault, "leave out rules, plan, original and sample"))
