"""`initctl presets`: a list, or one preset as a recipe."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import typer

from initctl.cli.options import grouped
from initctl.cli.output import Output
from initctl.display.tables import Listing, Report
from initctl.recipes.presets import Preset, find_preset
from initctl.recipes.presets import presets as all_presets

COMMAND = "presets"
NAME = typer.Argument(None, metavar="NAME", show_default="list all", help="The preset to print.")


@grouped
def presets(name: str | None = NAME, *, out: Output) -> None:
    """List the presets, or print one as a recipe.

    A preset is the rules of a model family. Apply it with --preset NAME, or let a recipe extend it.

    Examples:
    initctl presets
    initctl presets gpt2 > recipe.toml

    See: presets, recipes
    """
    if name is None:
        known = list(all_presets().values())
        out.result(COMMAND, lambda: {COMMAND: list(map(preset_json, known))}, lambda: presets_report(known))
    else:
        found = find_preset(name)
        out.result(COMMAND, lambda: {**preset_json(found), "text": found.text}, lambda: found.text.rstrip())


def presets_report(presets: Iterable[Preset]) -> Report:
    """One row for each preset: its name, what it gives, and the model types for which `auto` selects it."""
    rows = [(preset.name, preset.summary, ", ".join(preset.model_types) or "-") for preset in presets]
    return [Listing(("preset", "gives", "model_type"), rows, wrapped=("gives", "model_type"), spare=(("model_type",),))]


def preset_json(preset: Preset) -> dict[str, Any]:
    """One preset as data."""
    return {fact: getattr(preset, fact) for fact in ("name", "summary", "source", "model_types")}
