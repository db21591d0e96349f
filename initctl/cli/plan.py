"""`initctl plan`: what apply would do, to the tensor."""

from __future__ import annotations

import typer

import initctl
from initctl.cli.options import CHECKPOINT, UNFOLD, RuleOptions, flag, grouped
from initctl.cli.output import Output
from initctl.errors import Problem, UsageError


@grouped
def plan(
    checkpoint: str = CHECKPOINT,
    *,
    rules: RuleOptions,
    save: str | None = typer.Option(
        None, "--save", metavar="FILE", help="Also write the plan to FILE, for apply --plan."
    ),
    force: bool = flag("--force", text="With --save: replace FILE even if it is not a plan."),
    emit_recipe: bool = flag("--emit-recipe", text="Print all rules that count as one recipe, not the plan."),
    unfold: bool = UNFOLD,
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
