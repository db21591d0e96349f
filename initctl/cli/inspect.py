"""`initctl inspect`: the tensors of a checkpoint."""

from __future__ import annotations

import typer

import initctl
from initctl.cli.options import CHECKPOINT, COMPONENT, ROOT, UNFOLD, grouped
from initctl.cli.output import Output
from initctl.selecting import selected


@grouped
def inspect(
    checkpoint: str = CHECKPOINT,
    patterns: list[str] = typer.Argument(
        None, metavar="PATTERN", show_default="all", help="Names of the tensors to list."
    ),
    *,
    root: str | None = ROOT,
    component: str | None = COMPONENT,
    unfold: bool = UNFOLD,
    out: Output,
) -> None:
    """List the tensors of a checkpoint.

    Each has a line with its name, shape, dtype, fans and size. The metadata follows, unless patterns name tensors. No
    tensor is read.

    Examples:
    initctl inspect net.safetensors
    initctl inspect gpt2/ '*.bias'
    initctl inspect training.ckpt --root model

    See: patterns, fans, torch, sharded
    """
    table = initctl.inspect(checkpoint, root=root, component=component)
    out.warn(table.warnings)
    only = selected(table, patterns) if patterns else None
    out.result("inspect", lambda: table.to_json(only), lambda: table.report(only, unfold=unfold))
