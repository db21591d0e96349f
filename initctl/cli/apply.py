"""`initctl apply`: initialize, and write the checkpoint back out."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated

import typer

import initctl
from initctl.cli.face import Face
from initctl.cli.options import Checkpoint, RuleOptions, Unfold, grouped
from initctl.cli.signals import ignore_signals
from initctl.report.plans import applied_report

if TYPE_CHECKING:
    from initctl.planning import Plan

Output = Annotated[
    str | None,
    typer.Option("--output", "-o", metavar="OUT", help="Where the result goes: a file, or a directory for shards."),
]
InPlace = Annotated[bool, typer.Option("--in-place", help="Replace the checkpoint itself, in one step.")]
NoClobber = Annotated[bool, typer.Option("--no-clobber", help="Refuse where OUT exists.")]


@grouped
def apply(
    checkpoint: Checkpoint,
    *,
    rules: RuleOptions,
    output: Output = None,
    in_place: InPlace = False,
    no_clobber: NoClobber = False,
    unfold: Unfold = False,
    face: Face,
) -> None:
    """Initialize tensors and write the checkpoint.

    Tensors that no rule decides, and all else in the file, stay the same to the byte. OUT appears complete, in one
    step.

    Example: initctl apply net.safetensors -o init.safetensors -r '*.bias=zeros'
    """
    started = time.monotonic()

    def tell(plan: Plan) -> None:
        face.warn(plan.warnings)
        face.log(
            f"{plan.checkpoint.format}: {len(plan.checkpoint.tensors)} tensors in {len(plan.checkpoint.files)} files"
        )

    with face.progress() as on_progress:
        applied = initctl.apply(
            checkpoint,
            output,
            in_place=in_place,
            no_clobber=no_clobber,
            threads=face.threads,
            on_plan=tell,
            on_progress=on_progress,
            **vars(rules),
        )
    ignore_signals()
    face.log(f"{len(applied.files)} files written in {time.monotonic() - started:.2f} s")
    face.result("apply", applied.to_json, lambda: applied_report(applied, unfold=unfold))
