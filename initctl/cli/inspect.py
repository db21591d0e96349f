"""`initctl inspect`: the tensors of a checkpoint."""

from __future__ import annotations

import initctl
from initctl.cli.options import CHECKPOINT, COMPONENT, ROOT, UNFOLD, grouped
from initctl.cli.output import Output


@grouped
def inspect(
    checkpoint: str = CHECKPOINT,
    *,
    root: str | None = ROOT,
    component: str | None = COMPONENT,
    unfold: bool = UNFOLD,
    out: Output,
) -> None:
    """List the tensors of a checkpoint.

    Each has a line with its name, shape, dtype, fans and size. The metadata follows. No tensor is read.

    Examples:
    initctl inspect net.safetensors
    initctl inspect training.ckpt --root model

    See: fans, torch, sharded
    """
    table = initctl.inspect(checkpoint, root=root, component=component)
    out.warn(table.warnings)
    out.result("inspect", table.to_json, lambda: table.report(unfold=unfold))
