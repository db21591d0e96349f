"""`initctl plan`: what apply would do, tensor by tensor."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

import initctl
from initctl.cli import panels
from initctl.cli.options import CHECKPOINT, DIFF, HTML, UNFOLD, RuleOptions, check_apart, file_name, flag, grouped
from initctl.cli.output import Output
from initctl.errors import Problem, UsageError

if TYPE_CHECKING:
    from initctl.manifest import Changes


@grouped
def plan(
    checkpoint: str = CHECKPOINT,
    *,
    rules: RuleOptions,
    save: str | None = typer.Option(
        None,
        "--save",
        metavar="FILE",
        callback=file_name,
        rich_help_panel=panels.OUTPUT,
        help="Also write the plan to FILE, for apply --plan and verify --plan.",
    ),
    force: bool = flag("--force", panel=panels.OUTPUT, text="With --save: replace FILE even if it is not a plan."),
    emit_recipe: bool = flag(
        "--emit-recipe", panel=panels.OUTPUT, text="Print all rules that count as one recipe, in place of the plan."
    ),
    diff: bool = DIFF,
    unfold: bool = UNFOLD,
    html: str | None = HTML,
    out: Output,
) -> None:
    """Show what apply would do, tensor by tensor.

    Nothing is written to the checkpoint. Tensors are read only for --diff and --html, which also show the numbers that
    the rules give.

    Examples:
    initctl plan net.safetensors -r 'fc*.weight=normal:std=0.02' -r '*.bias=zeros'
    initctl plan gpt2/ -p auto --save plan.json

    See: rules, rows, patterns, pipelines
    """
    if force and save is None:
        raise UsageError(Problem("output.force", "--force needs --save, whose file it replaces", "add --save"))
    if diff and emit_recipe:
        fault = "--emit-recipe prints a recipe, and --diff a table"
        raise UsageError(Problem("usage.diff", fault, "leave out one of them"))
    check_apart(save, html)
    made = initctl.plan(checkpoint, **rules.asked)
    out.warn(made.warnings)
    changes: Changes | None = None
    if diff or html is not None:
        with out.events("measuring") as on_event:
            changes = initctl.changes(made, threads=out.threads, on_event=on_event)
    if save is not None:
        out.write(lambda: made.save(save, overwrite=force))
    out.page(html, lambda pages: pages.plan_page(changes))
    if emit_recipe:
        recipe = made.recipe()
        out.result("plan", lambda: {**made.to_json(), "recipe": recipe}, recipe.rstrip)
    elif shown := changes if diff else None:
        out.result("plan", lambda: {**made.to_json(), **shown.to_json()}, lambda: shown.report(unfold=unfold))
    else:
        out.result("plan", made.to_json, lambda: made.report(unfold=unfold))
