"""`initctl apply`: initialize, and write the checkpoint back out."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import typer

import initctl
from initctl.cli.options import CHECKPOINT, DIFF, SAVED_PLAN, UNFOLD, RuleOptions, flag, grouped
from initctl.cli.output import Output
from initctl.cli.signals import ignore_signals
from initctl.display.tables import count
from initctl.errors import Problem, UsageError
from initctl.events import Event

if TYPE_CHECKING:
    from initctl.manifest import Changes
    from initctl.planning import Plan


@dataclass(frozen=True, kw_only=True)
class WriteOptions:
    """Where the result goes, and what it replaces."""

    output: str | None = typer.Option(
        None, "--output", "-o", metavar="OUT", help="Where the result goes: a file, or a directory for shards."
    )
    in_place: bool = flag("--in-place", text="Replace the checkpoint itself, in one step.")
    patch: bool = flag("--patch", text="With --in-place: overwrite only the ruled bytes, not in one step.")
    no_clobber: bool = flag("--no-clobber", text="Refuse if OUT exists.")
    force: bool = flag("--force", text="Replace a file at OUT even if it is not a checkpoint.")
    max_shard_size: str | None = typer.Option(
        None,
        "--max-shard-size",
        metavar="SIZE",
        help="Convert to a directory of shards, each of at most SIZE: 500MB, 5GB.",
    )
    stale: str | None = typer.Option(
        None, "--stale", metavar="keep|drop", help="Keep or leave out files with the same model in another format."
    )

    def __post_init__(self) -> None:
        """Raises `UsageError` if the flags contradict each other."""
        if self.patch and not self.in_place:
            fault = "patch: it overwrites the checkpoint itself"
            raise UsageError(Problem("output.patch", fault, "give --in-place too"))
        if self.no_clobber and self.force:
            fault = "force: no-clobber refuses to replace any file"
            raise UsageError(Problem("output.force", fault, "leave one of them out"))


@grouped
def apply(
    checkpoint: str = CHECKPOINT,
    *,
    rules: RuleOptions,
    plan: str | None = SAVED_PLAN,
    write: WriteOptions,
    diff: bool = DIFF,
    unfold: bool = UNFOLD,
    out: Output,
) -> None:
    """Initialize tensors and write the checkpoint.

    Tensors that no rule decides, and all else in the file, stay the same to the byte. OUT appears complete, in one
    step. The ending of OUT decides the format: .safetensors, or .pt, .pth, .bin or .ckpt as torch.save writes it. If
    that is not CHECKPOINT's own format, it is converted, and rules are optional. In a directory, a directory keeps its
    format, and a file of torch.save becomes safetensors.

    Example: initctl apply net.safetensors -o init.safetensors -r '*.bias=zeros'
    """
    started = time.monotonic()
    changes: Changes | None = None

    def on_event(event: Plan | Event) -> None:
        nonlocal changes
        report_event(event)
        if diff and not isinstance(event, Event):  # the plan: nothing is written yet
            changes = initctl.changes(event, threads=out.threads, on_event=report_event)

    with out.events("measuring, writing" if diff else "writing") as report_event:
        applied = initctl.apply(
            checkpoint if plan is None else initctl.load_plan(plan, checkpoint),
            write.output,
            in_place="patch" if write.patch else write.in_place,
            overwrite=True if write.force else False if write.no_clobber else None,
            max_shard_size=write.max_shard_size,
            stale=write.stale,
            threads=out.threads,
            on_event=on_event,
            **vars(rules),
        )
    ignore_signals()
    out.warn(applied.warnings)
    out.log(f"{count(len(applied.files), 'file')} written in {time.monotonic() - started:.2f} s")
    out.result(
        "apply",
        lambda: {**applied.to_json(), **(changes.to_json() if changes else {})},
        lambda: [*changes.overview(unfold=unfold), *applied.summary()] if changes else applied.report(unfold=unfold),
    )
