"""`initctl recipe-check`: whether a recipe is valid, and whether it fits a checkpoint."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from initctl.cli.options import BASE_CONFIG, grouped
from initctl.cli.output import JSON, TEXT, Output
from initctl.display.annotations import of_problems
from initctl.display.tables import count
from initctl.errors import InitctlError, shown
from initctl.request import Request

if TYPE_CHECKING:
    from initctl.planning import Plan

GITHUB = "github"
FORMATS = (TEXT, JSON, GITHUB)
FILE = typer.Argument(..., metavar="FILE", help="The recipe: a TOML file of rules.")
CHECKPOINT = typer.Argument(None, metavar="CHECKPOINT", help="The checkpoint that the recipe is for.")


@grouped
def recipe_check(
    file: str = FILE,
    checkpoint: str | None = CHECKPOINT,
    *,
    base_config: str | None = BASE_CONFIG,
    form: str = typer.Option(
        TEXT,
        "--format",
        metavar="|".join(FORMATS),
        help="How the result is written; github also annotates the lines of errors and warnings.",
    ),
    out: Output,
) -> None:
    """Check a recipe, and whether it fits a checkpoint.

    Without CHECKPOINT, the recipe itself is checked: keys, patterns, conditions, expressions, initializers and their
    parameters, and all recipes that it extends. With CHECKPOINT, everything that plan checks is checked, too: each rule
    must decide something.

    Examples:
    initctl recipe-check recipe.toml
    initctl recipe-check recipe.toml net.safetensors

    See: recipes, pipelines
    """
    is_annotated = out.form(form, FORMATS) == GITHUB
    try:
        request = Request.of({"recipes": [file], "base_config": base_config})
        plan = request.plan(request.read(checkpoint)) if checkpoint is not None else None
    except InitctlError as error:
        if is_annotated:
            out.commands(of_problems("error", error.problems))
        raise
    if plan:
        out.warn(plan.warnings)
        if is_annotated and plan.warnings:
            out.commands(of_problems("warning", plan.warnings))
    out.result("recipe-check", lambda: _data(file, request, plan), lambda: _report(file, request, plan))


def _data(file: str, request: Request, plan: Plan | None) -> dict[str, Any]:
    filled = plan and {"tensors": plan.initialized.tensors, "elements": plan.initialized.elements}
    counts = {"rules": _tables(request), "patterns": len(request.rules)}
    return {"recipe": file, **counts, "seed": request.seed, "fills": filled}


def _report(file: str, request: Request, plan: Plan | None) -> list[str]:
    rules, patterns = _tables(request), len(request.rules)
    several = f" with {count(patterns, 'pattern')}" if patterns != rules else ""
    sizes = len(request.reshaping.sizes)
    more = f" and {count(sizes, 'size')}" if sizes else ""
    lines = [f"{shown(file)}: is valid: {count(rules, 'rule')}{several}{more}"]
    if plan:
        filled, resized = plan.initialized, len(plan.checkpoint.resized)
        sized = f", {resized} resized" if resized else ""
        lines.append(f"{shown(plan.checkpoint.path)}: fits: {count(filled.tensors, 'tensor')} would be filled{sized}")
    return lines


def _tables(request: Request) -> int:
    """The number of tables `[[rule]]`. One with several patterns makes several rules."""
    return len({bound.rule.origin._replace(source=None) for bound in request.rules})
