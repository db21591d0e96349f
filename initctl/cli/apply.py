"""`initctl apply`: initialize, and write the checkpoint back out."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import typer

import initctl
from initctl.api.planning import loaded_plan
from initctl.cli import panels, streams
from initctl.cli.options import (
    CHECKPOINT,
    DIFF,
    HTML,
    SAVED_PLAN,
    SHARD_SIZE,
    UNFOLD,
    OverwriteOptions,
    RuleOptions,
    check_apart,
    file_name,
    flag,
    grouped,
    place_of_report,
)
from initctl.cli.output import Output
from initctl.cli.parts import PartOptions
from initctl.cli.signals import ignore_signals
from initctl.display.tables import count
from initctl.errors import Problem, UsageError
from initctl.events import Event

if TYPE_CHECKING:
    from initctl.applied import Applied
    from initctl.distributed.parts import Parts
    from initctl.manifest import Changes
    from initctl.planning import Plan


REPORT = typer.Option(
    None,
    "--report",
    metavar="FILE",
    callback=place_of_report,
    rich_help_panel=panels.REPORTING,
    help="Also write a report with digests to FILE, for verify --report.",
)


@dataclass(frozen=True, kw_only=True)
class WriteOptions:
    """Where the result goes, and in which form."""

    output: str | None = typer.Option(
        None,
        "--output",
        "-o",
        metavar="OUT",
        callback=file_name,
        rich_help_panel=panels.OUTPUT,
        help="Write the result to OUT: a file, a directory for shards, or the URL of one in a store.",
    )
    in_place: bool = flag("--in-place", panel=panels.OUTPUT, text="Replace the checkpoint itself, in one step.")
    patch: bool = flag(
        "--patch",
        panel=panels.OUTPUT,
        text="With --in-place: overwrite only the bytes that rules fill. This is fast, but not one step.",
    )
    resume: bool = flag(
        "--resume", panel=panels.OUTPUT, text="Complete an interrupted --patch, by the rules and the seed that it had."
    )
    max_shard_size: str | None = SHARD_SIZE
    stale: str | None = typer.Option(
        None,
        "--stale",
        metavar="keep|drop",
        rich_help_panel=panels.OUTPUT,
        help="Keep or drop files that hold the same model in another format.",
    )

    def __post_init__(self) -> None:
        """Raises `UsageError` if the flags contradict each other."""
        if self.patch and not self.in_place:
            fault = "--patch needs --in-place, because it overwrites the checkpoint itself"
            raise UsageError(Problem("output.patch", fault, "add --in-place"))

    @property
    def how_in_place(self) -> bool | Literal["patch", "resume"]:
        """The argument `in_place` of `initctl.apply`."""
        return "resume" if self.resume else "patch" if self.patch else self.in_place

    def check_resume(self, others: Mapping[str, object]) -> None:
        """Raise `UsageError` if an option is given together with --resume; `others` are those of other groups."""
        own = {"-o": self.output, "--in-place": self.in_place, "--stale": self.stale}
        if self.resume and (given := next((name for name, value in {**own, **others}.items() if value), None)):
            fault = f"--resume only completes a patch, as it was begun; {given} has no effect"
            raise UsageError(Problem("output.patch", fault, f"leave out {given}"))


@grouped
def apply(
    checkpoint: str = CHECKPOINT,
    *,
    rules: RuleOptions,
    plan: str | None = SAVED_PLAN,
    write: WriteOptions,
    replacing: OverwriteOptions,
    step: PartOptions,
    diff: bool = DIFF,
    report: str | None = REPORT,
    unfold: bool = UNFOLD,
    html: str | None = HTML,
    out: Output,
) -> None:
    """Initialize tensors and write the checkpoint.

    Everything that no rule fills stays byte-for-byte identical. OUT appears in one step, complete. Its ending decides
    the format: .safetensors, or .pt, .pth, .bin or .ckpt for torch.save. If that is not the checkpoint's own format,
    the checkpoint is converted, and rules are optional.

    Examples:
    initctl apply net.safetensors -o init.safetensors -r '*.bias=zeros'
    initctl apply gpt2/ -o fresh/ -p auto --require-all

    See: rules, rows, output, parts, stores, initializers
    """
    check_apart(write.output, html, report)
    if streams.is_silent:
        report = html = None
    write.check_resume({"--plan": plan, "--part": step.given, "--diff": diff, "--report": report, "--html": html})
    reports = {"--diff": diff and not streams.is_silent, "--report": report, "--html": html}
    how: dict[str, Any] = {
        "overwrite": replacing.overwrite,
        "max_shard_size": write.max_shard_size,
        "stale": write.stale,
    }
    started = time.monotonic()
    source = checkpoint if plan is None else loaded_plan(plan, checkpoint, unfinished=write.patch)
    parts: Parts | None = None
    if step.given:
        step.check(write.output, {"--in-place": write.in_place, **({} if step.commit else reports)})
        parts = initctl.parts(source, str(write.output), **how, **rules.asked)
    if parts and not step.commit:
        step.take(parts, out, unfold=unfold)
        return
    with out.events("writing") as said:
        changes = _Changes(out, said, digest=report is not None)
        on_event = changes if any(reports.values()) else said
        if parts:
            on_event(parts.plan)
            applied = parts.commit(threads=out.threads, on_event=said)
        else:
            applied = initctl.apply(
                source,
                write.output,
                in_place=write.how_in_place,
                threads=out.threads,
                on_event=on_event,
                **how,
                **rules.asked,
            )
    ignore_signals()
    out.warn(applied.warnings)
    out.log(f"{count(len(applied.files), 'file')} written in {time.monotonic() - started:.2f} s")
    if html is not None:
        out.beside(applied.output, "page", lambda: _write_page(html, applied, changes.found))
    if report is not None:
        out.beside(applied.output, "report", lambda: _write_report(report, applied, changes.found, out))
    _show(applied, changes.found if reports["--diff"] else None, out, unfold=unfold)


class _Changes:
    """Takes events. When the plan is made, it measures what the plan changes, before anything is written."""

    found: Changes

    def __init__(self, out: Output, said: Callable[[Plan | Event], None], *, digest: bool) -> None:
        self._out, self._said, self._digest = out, said, digest

    def __call__(self, event: Plan | Event) -> None:
        self._said(event)
        if not isinstance(event, Event):
            with self._out.events("measuring") as on_event:
                self.found = initctl.changes(event, digest=self._digest, threads=self._out.threads, on_event=on_event)


def _write_page(path: str, applied: Applied, changes: Changes) -> None:
    from initctl.page import applied_page, write_page

    write_page(applied_page(applied, changes), path)


def _write_report(path: str, applied: Applied, changes: Changes, out: Output) -> None:
    with out.events("hashing") as on_event:
        applied.manifest(changes, threads=out.threads, on_event=on_event).save(path)


def _show(applied: Applied, changes: Changes | None, out: Output, *, unfold: bool) -> None:
    """Show the result; with `changes`, also what changed."""
    if changes is None:
        out.result("apply", applied.to_json, lambda: applied.report(unfold=unfold))
    else:
        rows = [*changes.overview(unfold=unfold), *applied.summary()]
        out.result("apply", lambda: {**applied.to_json(), **changes.to_json()}, lambda: rows)
