"""`initctl plan`: what apply would do, to the tensor."""

from __future__ import annotations

from typing import Annotated

import typer

import initctl
from initctl.cli.options import CheckpointPath, Force, RuleOptions, Unfold, grouped
from initctl.cli.output import Output
from initctl.errors import Problem, UsageError


@grouped
def plan(
    checkpoint: CheckpointPath,
    *,
    rules: RuleOptions,
    save: Annotated[
        str | None, typer.Option("--save", metavar="FILE", help="Also write the plan to FILE, for apply --plan.")
    ] = None,
    force: Force = False,
    emit_recipe: Annotated[
        bool, typer.Option("--emit-recipe", help="Print all rules that count as one recipe, not the plan.")
    ] = False,
    unfold: Unfold = False,
    out: Output,
) -> None:
    """Show what apply would do, to the tensor.

    No checkpoint is written, and no tensor is read.

    Example: initctl plan net.safetensors -r 'fc*.weight=normal:std=0.02'
    """
    if force and save is None:
        raise UsageError(Problem("output.force", "force: there is no file to replace", "give --save too"))
    made = initctl.plan(checkpoint, **vars(rules))
    out.warn(made.warnings)
    if save is not None:
        made.save(save, overwrite=force)
    if emit_recipe:
        recipe = made.recipe()
        out.result("plan", lambda: {**made.to_json(), "recipe": recipe}, recipe.rstrip)
    else:
        out.result("plan", made.to_json, lambda: made.report(unfold=unfold))
