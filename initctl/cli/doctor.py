"""`initctl doctor`: faults of initialization, and the rules that fix them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import typer

import initctl
from initctl.cli import panels
from initctl.cli.options import CHECKPOINT, COMPONENT, HTML, ROOT, UNFOLD, flag, grouped, one_of
from initctl.cli.output import JSON, TEXT, Output
from initctl.errors import Problem, UsageError

if TYPE_CHECKING:
    from initctl.diagnosing import Diagnosis
    from initctl.diagnosing.check import Severity
    from initctl.display.tables import Report

GITHUB, JUNIT, SARIF = "github", "junit", "sarif"
FORMATS = (TEXT, JSON, GITHUB, JUNIT, SARIF)


@dataclass(frozen=True, kw_only=True)
class CheckOptions:
    """Which faults to look for, in comparison with what, and which of them fail the command."""

    preset: str | None = typer.Option(
        None,
        "--preset",
        "-p",
        metavar="NAME",
        rich_help_panel=panels.CHECKS,
        show_default="what config.json names",
        help="The model family whose laws weights are compared with.",
    )
    trained: bool = flag("--trained", panel=panels.CHECKS, text="Skip faults that only fresh weights can have.")
    fresh: bool = flag(
        "--fresh",
        panel=panels.CHECKS,
        text="Skip none. Without these flags, tensors that PATTERN names are fresh; else norms and biases decide.",
    )
    select: list[str] = typer.Option(
        [],
        "--select",
        metavar="CODE",
        rich_help_panel=panels.CHECKS,
        show_default="all",
        help="Look only for this fault, such as values.nan, or for this group, such as values. Repeatable.",
    )
    ignore: list[str] = typer.Option(
        [],
        "--ignore",
        metavar="CODE",
        rich_help_panel=panels.CHECKS,
        help="Do not look for this fault or group. Repeatable.",
    )
    severity: str = typer.Option(
        "warning",
        "--severity",
        metavar="info|warning|error",
        rich_help_panel=panels.CHECKS,
        help="End with status 1 if a finding is this bad or worse.",
    )

    def __post_init__(self) -> None:
        """Raises `UsageError` if the flags contradict each other."""
        if self.trained and self.fresh:
            raise UsageError(Problem("usage.trained", "--trained contradicts --fresh", "leave out one of them"))

    @property
    def reading(self) -> bool | None:
        """Whether to treat weights as trained; None if their numbers decide."""
        return True if self.trained else False if self.fresh else None


@grouped
def doctor(
    checkpoint: str = CHECKPOINT,
    patterns: list[str] = typer.Argument(
        None, metavar="PATTERN", show_default="all", help="Names of the tensors to judge. They count as fresh."
    ),
    *,
    root: str | None = ROOT,
    component: str | None = COMPONENT,
    checks: CheckOptions,
    form: str = typer.Option(
        TEXT, "--format", metavar="|".join(FORMATS), rich_help_panel=panels.REPORTING, help="How findings are written."
    ),
    unfold: bool = UNFOLD,
    html: str | None = HTML,
    out: Output,
) -> None:
    """Look for faults of initialization.

    Each fault is listed with the reason why it matters and the rule that fixes it. The last lines are a command with
    all of these rules. A law that the model's own family uses is not a fault. Nothing is written.

    Examples:
    initctl doctor net.safetensors
    initctl doctor bert/ 'classifier.*'
    initctl doctor gpt2/ --ignore biases --severity error

    See: doctor, pipelines
    """
    from initctl.diagnosing.check import SEVERITIES

    form, worst = out.form(form, FORMATS), one_of("severity", checks.severity, SEVERITIES)
    with out.events("reading") as on_event:
        found = initctl.doctor(
            checkpoint,
            patterns,
            root=root,
            component=component,
            preset=checks.preset,
            trained=checks.reading,
            select=checks.select,
            ignore=checks.ignore,
            threads=out.threads,
            on_event=on_event,
        )
    out.warn(found.checkpoint.warnings)
    out.page(html, lambda pages: pages.diagnosis_page(found))
    _write(found, worst, form, out, unfold=unfold)


def _write(found: Diagnosis, severity: Severity, form: str, out: Output, *, unfold: bool) -> None:
    def report() -> str | Report:
        if form == JUNIT:
            from initctl.diagnosing import junit

            return junit.report(found, severity)
        if form == SARIF:
            from initctl.diagnosing import sarif

            return sarif.log(found, initctl.__version__)
        return found.report(unfold=unfold)

    if form == GITHUB:
        from initctl.diagnosing.github import workflow_commands

        out.commands(workflow_commands(found))
        out.quiet = True
    out.result("doctor", found.to_json, report, holds=not found.at_least(severity))
