"""`initctl apply`: initialize, and write the checkpoint back out."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated

import typer

import initctl
from initctl.cli.face import Face
from initctl.cli.options import Checkpoint, RuleOptions, SavedPlan, Unfold, grouped
from initctl.cli.signals import ignore_signals
from initctl.execution import Chosen, Committed, Progress
from initctl.planning import Plan
from initctl.report.plans import applied_report
from initctl.report.tables import count

if TYPE_CHECKING:
    from initctl.execution import Event

Output = Annotated[
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
    output: Output = None,
    in_place: InPlace = False,
    patch: Patch = False,
    no_clobber: NoClobber = False,
    force: Force = False,
    max_shard_size: MaxShardSize = None,
    stale: Stale = None,
    unfold: Unfold = False,
    face: Face,
) -> None:
    """Initialize tensors and write the checkpoint.

    Tensors that no rule decides, and all else in the file, stay the same to the byte. OUT appears complete, in one
    step. The ending of OUT decides the format: .safetensors, or .pt, .pth, .bin or .ckpt as torch.save writes it. If
    that is not CHECKPOINT's own format, it is converted, and rules are optional. In a directory, a directory keeps its
    format, and a file of torch.save becomes safetensors.

    Example: initctl apply net.safetensors -o init.safetensors -r '*.bias=zeros'
    """
    started = time.monotonic()

    with face.progress() as on_progress:

        def tell(event: Plan | Event) -> None:
            match event:
                case Plan():
                    face.warn(event.warnings)
                    face.log(_table(event))
                case Chosen(device, engine, reason):
                    face.log(f"{device}: engine {engine}: {reason}")
                case Progress() if on_progress:
                    on_progress(event)
                case Committed():
                    ignore_signals()

        applied = initctl.apply(
            checkpoint,
            output,
            plan=plan,
            in_place=in_place,
            patch=patch,
            no_clobber=no_clobber,
            force=force,
            max_shard_size=max_shard_size,
            stale=stale,
            threads=face.threads,
            on_event=tell,
            **vars(rules),
        )
    ignore_signals()
    face.warn(applied.warnings)
    face.log(f"{count(len(applied.files), 'file')} written in {time.monotonic() - started:.2f} s")
    face.result("apply", applied.to_json, lambda: applied_report(applied, unfold=unfold))


def _table(plan: Plan) -> str:
    checkpoint = plan.checkpoint
    return f"{checkpoint.format}: {count(len(checkpoint.tensors), 'tensor')}, {count(len(checkpoint.files), 'file')}"
