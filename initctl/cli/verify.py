"""`initctl verify`: whether a checkpoint holds exactly what the rules give."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import typer

import initctl
from initctl.cli import panels
from initctl.cli.options import CHECKPOINT, SAVED_PLAN, UNFOLD, RuleOptions, grouped, written
from initctl.cli.output import Output
from initctl.errors import Problem, UsageError

if TYPE_CHECKING:
    from initctl.planning import Plan


@dataclass(frozen=True, kw_only=True)
class ComparisonOptions:
    """With what a checkpoint is compared, and how much of it."""

    against: str | None = typer.Option(
        None,
        "--against",
        metavar="CHECKPOINT",
        rich_help_panel=panels.COMPARISON,
        help="The original checkpoint. Everything that no rule fills must match it.",
    )
    sample: int | None = typer.Option(
        None,
        "--sample",
        metavar="N",
        callback=written,
        rich_help_panel=panels.COMPARISON,
        show_default="all",
        help="Compare only N elements of each tensor.",
    )
    report: str | None = typer.Option(
        None,
        "--report",
        metavar="FILE",
        rich_help_panel=panels.COMPARISON,
        help="Compare with the report that apply --report wrote to FILE, without rules and without the original.",
    )


@grouped
def verify(
    checkpoint: str = CHECKPOINT,
    *,
    rules: RuleOptions,
    plan: str | None = SAVED_PLAN,
    comparison: ComparisonOptions,
    unfold: bool = UNFOLD,
    out: Output,
) -> None:
    """Check that a checkpoint holds exactly what the rules give.

    Give the rules and the options that apply was given: every value is computed again and compared. With --report,
    digests are compared instead. If anything differs, the status is 1. Nothing is written.

    Examples:
    initctl verify init.safetensors -r '*.bias=zeros' --against net.safetensors
    initctl verify init.safetensors --report report.json

    See: verify, reports, reproducibility
    """
    if comparison.report is not None:
        from initctl.distributed.ranks import coworkers

        _check_alone(rules, plan, comparison.against, comparison.sample)
        with out.events("hashing") as on_event:
            manifest = initctl.load_manifest(comparison.report)
            checked = manifest.verify(checkpoint, threads=out.threads, coworkers=coworkers(), on_event=on_event)
        out.result("verify", checked.to_json, lambda: checked.report(unfold=unfold), holds=checked.holds)
        return
    against = comparison.against
    original, result = (checkpoint, None) if against is None else (against, checkpoint)
    if plan is None:
        expected: Plan | str = original
    elif against is None:  # without the original, the saved plan is checked against the result
        expected = initctl.load_plan(plan, result=original)
    else:
        expected = initctl.load_plan(plan, original)
    with out.events("comparing") as on_event:
        found = initctl.verify(
            expected,
            result,
            sample=comparison.sample,
            threads=out.threads,
            on_event=on_event,
            **rules.asked,
        )
    out.result("verify", found.to_json, lambda: found.report(unfold=unfold), holds=found.holds)


def _check_alone(rules: RuleOptions, *others: object) -> None:
    """Raise `UsageError` if rules, or any of `others`, are given together with a report."""
    from initctl.request import Request

    if any(other is not None for other in others) or Request.of(rules.asked) != Request.of({}):
        fault = "--report cannot be combined with rules, --plan, --against or --sample"
        raise UsageError(Problem("usage.report", fault, "leave them out: the report says what CHECKPOINT must hold"))
