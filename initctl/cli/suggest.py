"""`initctl suggest`: a recipe for a checkpoint, with reasons."""

from __future__ import annotations

import typer

import initctl
from initctl.cli import panels
from initctl.cli.options import CHECKPOINT, COMPONENT, ROOT, grouped
from initctl.cli.output import Output


@grouped
def suggest(
    checkpoint: str = CHECKPOINT,
    *,
    activation: str | None = typer.Option(
        None,
        "--activation",
        metavar="NAME",
        rich_help_panel=panels.RULES,
        show_default="what config.json names, or relu",
        help="The activation between layers: relu, leaky_relu, tanh, sigmoid, gelu, silu or selu.",
    ),
    root: str | None = ROOT,
    component: str | None = COMPONENT,
    out: Output,
) -> None:
    """Suggest a recipe, with the reason beside each rule.

    The recipe decides every floating-point tensor. If config.json names a model family that has a preset, its rules are
    used. Otherwise each tensor's role decides, which its name, its shape and its neighbors show. No tensor is read.
    Edit the recipe, and use it with -f.

    Examples:
    initctl suggest net.safetensors > recipe.toml
    initctl suggest net.safetensors --activation gelu

    See: suggest, initializers, recipes
    """
    found = initctl.suggest(checkpoint, activation=activation, root=root, component=component)
    out.warn(found.warnings)
    out.result("suggest", found.to_json, found.recipe().rstrip)
