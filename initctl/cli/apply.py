"""`initctl apply`: initialize, and write the checkpoint back out."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Annotated

import typer

import initctl
from initctl.cli.options import CheckpointPath, Force, PlanPath, RuleOptions, Unfold, grouped
from initctl.cli.output import Output
from initctl.cli.signals import ignore_signals
from initctl.display.tables import count
from initctl.errors import Problem, UsageError


@dataclass(frozen=True, kw_only=True)
class WriteOptions:
    """Where the result goes, and what it replaces."""

    output: Annotated[
        str | None,
        typer.Option("--output", "-o", metavar="OUT", help="Where the result goes: a file, or a directory for shards."),
    ] = None
    in_place: Annotated[bool, typer.Option("--in-place", help="Replace the checkpoint itself, in one step.")] = False
    patch: Annotated[
        bool, typer.Option("--patch", help="With --in-place: overwrite only the ruled bytes, not in one step.")
    ] = False
    no_clobber: Annotated[bool, typer.Option("--no-clobber", help="Refuse if OUT exists.")] = False
    force: Force = False
    max_shard_size: Annotated[
        str | None,
        typer.Option(
            "--max-shard-size",
            metavar="SIZE",
            help="Convert to a directory of shards, each of at most SIZE: 500MB, 5GB.",
        ),
    ] = None
    stale: Annotated[
        str | None,
        typer.Option(
            "--stale", metavar="keep|drop", help="Keep or leave out files with the same model in another format."
        ),
    ] = None

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
    checkpoint: CheckpointPath,
    *,
    rules: RuleOptions,
    plan: PlanPath = None,
    write: WriteOptions,
    unfold: Unfold = False,
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
    with out.events("writing") as on_event:
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
    out.result("apply", applied.to_json, lambda: applied.report(unfold=unfold))
