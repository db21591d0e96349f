"""`initctl inspect`: what a checkpoint holds."""

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

    For each its name, shape, dtype, fans and size; then the metadata. No tensor is read.
    """
    table = initctl.inspect(checkpoint, root=root, component=component)
    out.warn(table.warnings)
    out.result("inspect", table.to_json, lambda: table.report(unfold=unfold))
