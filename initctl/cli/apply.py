"""`initctl apply`: initialize, and write the checkpoint back out."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated

import typer

import initctl
from initctl.cli.options import Checkpoint, RuleOptions, SavedPlan, Unfold, grouped
from initctl.cli.output import Output
from initctl.cli.signals import ignore_signals
from initctl.display.tables import count
from initctl.errors import Problem, UsageError
from initctl.execution import Chosen, Committed, Progress
from initctl.planning import Plan

if TYPE_CHECKING:
    from initctl.execution import Event

OutputPath = Annotated[
    str | None,
    typer.Option("--output", "-o", metavar="OUT", help="Where the result goes: a file, or a directory for shards."),
]
InPlace = Annotated[bool, typer.Option("--in-place", help="Replace the checkpoint itself, in one step.")]
Patch = Annotated[
    bool,
    typer.Option("--patch", help="With --in-place: overwrite only the ruled bytes, not in one step."),
]
MaxShardSize = Annotated[
    str | None,
    typer.Option(
        "--max-shard-size", metavar="SIZE", help="Convert to a directory of shards, each of at most SIZE: 500MB, 5GB."
    ),
]
Stale = Annotated[
    str | None,
    typer.Option("--stale", metavar="keep|drop", help="Keep or leave out files with the same model in another format."),
]
NoClobber = Annotated[bool, typer.Option("--no-clobber", help="Refuse if OUT exists.")]
Force = Annotated[bool, typer.Option("--force", help="Replace a file at OUT even if it is not a checkpoint.")]


@grouped
def apply(
    checkpoint: Checkpoint,
    *,
    rules: RuleOptions,
    plan: SavedPlan = None,
    output: OutputPath = None,
    in_place: InPlace = False,
    patch: Patch = False,
    no_clobber: NoClobber = False,
    force: Force = False,
    max_shard_size: MaxShardSize = None,
    stale: Stale = None,
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
    if patch and not in_place:
        raise UsageError(Problem("output.patch", "patch: it overwrites the checkpoint itself", "give --in-place too"))

    with out.progress() as on_progress:

        def tell(event: Plan | Event) -> None:
            match event:
                case Plan():
                    out.warn(event.warnings)
                    out.log(_table(event))
                case Chosen(device, engine, reason):
                    out.log(f"{device}: engine {engine}: {reason}")
                case Progress() if on_progress:
                    on_progress(event)
                case Committed():
                    ignore_signals()

        applied = initctl.apply(
            checkpoint if plan is None else initctl.load_plan(plan, checkpoint),
            output,
            in_place="patch" if patch else in_place,
            overwrite=_overwrite(no_clobber=no_clobber, force=force),
            max_shard_size=max_shard_size,
            stale=stale,
            threads=out.threads,
            on_event=tell,
            **vars(rules),
        )
    ignore_signals()
    out.warn(applied.warnings)
    out.log(f"{count(len(applied.files), 'file')} written in {time.monotonic() - started:.2f} s")
    out.result("apply", applied.to_json, lambda: applied.report(unfold=unfold))


def _overwrite(*, no_clobber: bool, force: bool) -> bool | None:
    """Whether a file at OUT is replaced. Raises `UsageError` if the flags contradict each other."""
    if no_clobber and force:
        fault = "force: no-clobber refuses to replace any file"
        raise UsageError(Problem("output.force", fault, "leave one of them out"))
    return True if force else False if no_clobber else None


def _table(plan: Plan) -> str:
    checkpoint = plan.checkpoint
    return f"{checkpoint.format}: {count(len(checkpoint.tensors), 'tensor')}, {count(len(checkpoint.files), 'file')}"
