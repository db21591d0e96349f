"""`initctl recipe-schema`: the JSON Schema with which editors complete and check recipes."""

from __future__ import annotations

import json
import sys

from initctl.cli.streams import say


def recipe_schema() -> None:
    """Print the JSON Schema of recipes, for editors.

    Editors complete and check recipes with it.

    Examples:
    initctl recipe-schema > recipe.schema.json

    See: recipes
    """
    from initctl.recipes.schema import recipe_schema as schema

    say(json.dumps(schema(), indent=2), sys.stdout)
