"""`initctl plan`: what apply would do, to the tensor."""

from __future__ import annotations

import initctl
from initctl.cli.face import Face
from initctl.cli.options import Checkpoint, RuleOptions, Unfold, grouped
from initctl.report.plans import plan_report


@grouped
def plan(checkpoint: Checkpoint, *, rules: RuleOptions, unfold: Unfold = False, face: Face) -> None:
    """Show what apply would do, to the tensor.

    Nothing is written, and no tensor is read.

    Example: initctl plan net.safetensors -r 'fc*.weight=normal:std=0.02'
    """
    made = initctl.plan(checkpoint, **vars(rules))
    face.warn(made.warnings)
    face.result("plan", made.to_json, lambda: plan_report(made, unfold=unfold))
