"""`initctl presets`: the list of them, or one as a recipe."""

from __future__ import annotations

from typing import Annotated

import typer

from initctl.cli.options import grouped
from initctl.cli.output import Output
from initctl.report.presets import preset_json, presets_report

COMMAND = "presets"

Name = Annotated[str | None, typer.Argument(metavar="NAME", help="The one to print.")]


@grouped
def presets(name: Name = None, *, out: Output) -> None:
    """List the presets, or print one as a recipe.

    A preset is the rules of a model family: apply it with --preset NAME, or let a recipe extend it.
    """
    from initctl.recipes.presets import find_preset
    from initctl.recipes.presets import presets as all_presets

    if name is None:
        known = list(all_presets().values())
        out.result(COMMAND, lambda: {COMMAND: list(map(preset_json, known))}, lambda: presets_report(known))
    else:
        found = find_preset(name)
        out.result(COMMAND, lambda: {**preset_json(found), "text": found.text}, lambda: found.text.rstrip())
