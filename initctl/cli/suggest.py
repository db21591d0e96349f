"""`initctl suggest`: a recipe for a checkpoint, with reasons."""

from __future__ import annotations

import typer

import initctl
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
        help="What is between layers: relu, leaky_relu, tanh, sigmoid, gelu, silu or selu; default: as config.json "
        "says, or relu.",
    ),
    root: str | None = ROOT,
    component: str | None = COMPONENT,
    out: Output,
) -> None:
    """Suggest a recipe, with the reason beside each rule.

    It decides every floating-point tensor: by the preset for the model that config.json names, or else by the role that
    name, shape and neighbors show. No tensor is read. Edit the recipe, and apply it.

    Example: initctl suggest model.safetensors --activation gelu > recipe.toml
    """
    found = initctl.suggest(checkpoint, activation=activation, root=root, component=component)
    out.warn(found.warnings)
    out.result("suggest", found.to_json, found.recipe().rstrip)
