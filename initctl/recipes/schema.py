"""The JSON Schema of recipes, by which editors complete and check them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from initctl.initializers import KEEP, REGISTRY, Number, Parameter, Whole, Word
from initctl.recipes.document import PRESET_KEYS, RULE_KEYS, SETTINGS
from initctl.reshaping.sizes import DIMS, ROWS
from initctl.rules.expressions.terms import RESERVED
from initctl.stream.key import SEED_LIMIT

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_EXPRESSION = {"type": "string", "minLength": 1}
_SIZE = {"type": "integer", "minimum": 1}
_SEEDS = {"minimum": 0, "maximum": SEED_LIMIT - 1}
_TEXTS = {
    "oneOf": [
        {"type": "string", "minLength": 1},
        {"type": "array", "items": {"type": "string", "minLength": 1}, "minItems": 1},
    ]
}


def recipe_schema() -> dict[str, Any]:
    """The schema of a recipe as JSON, with every initializer that is installed."""
    initializers = list(REGISTRY)
    names = sorted(name for initializer in initializers for name in (initializer.name, *initializer.aliases))
    return {
        "$schema": _DIALECT,
        "title": "initctl recipe",
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "seed": {"description": "The random seed.", "type": "integer", **_SEEDS},
            "extends": {"description": "Recipes, or presets as preset:NAME, whose rules come first.", **_TEXTS},
            "optional": {"description": "Whether rules may have no effect.", "type": "boolean"},
            "vars": {
                "description": "Variables for expressions.",
                "type": "object",
                "propertyNames": {"pattern": "^[A-Za-z_][A-Za-z0-9_]*$", "not": {"enum": sorted(RESERVED)}},
                "additionalProperties": {"oneOf": [{"type": "number"}, _EXPRESSION]},
            },
            "config": {"description": "Defaults for keys that config.json does not have.", "type": "object"},
            "base": {"description": "Defaults for keys of a base model's config.json.", "type": "object"},
            ROWS: {
                "description": "Numbers of rows by patterns for tensor names; pad:64 rounds up to a multiple.",
                "type": "object",
                "additionalProperties": {"oneOf": [_SIZE, {"type": "string", "pattern": r"^(pad:)?[0-9]+$"}]},
            },
            DIMS: {
                "description": "Shapes by patterns for tensor names. Rules must fill these tensors.",
                "type": "object",
                "additionalProperties": {
                    "oneOf": [
                        {"type": "array", "items": _SIZE, "minItems": 1},
                        {"type": "string", "pattern": "^[0-9]+(,[0-9]+)*$"},
                    ]
                },
            },
            SETTINGS: {"description": "New values of fields in the config.json of the result.", "type": "object"},
            "preset": {
                "description": "About a preset.",
                "type": "object",
                "properties": dict.fromkeys(PRESET_KEYS, True),
                "additionalProperties": False,
            },
            "rule": {"type": "array", "items": {"$ref": "#/$defs/rule"}},
        },
        "$defs": {
            "rule": {
                "type": "object",
                "required": ["match", "init"],
                "properties": {
                    "match": {"description": "One or several patterns for tensor names.", **_TEXTS},
                    "where": {"description": "A condition, such as ndim >= 2 and numel > 1000.", **_EXPRESSION},
                    "optional": {"description": "Whether the rule may have no effect.", "type": "boolean"},
                    "init": {
                        "description": "An initializer, alone or with parameters as on the command line.",
                        "anyOf": [{"enum": [KEEP, *names]}, {"type": "string", "pattern": ":"}],
                    },
                },
                "allOf": [
                    _parameters([KEEP], ()),
                    *(_parameters([each.name, *each.aliases], each.parameters) for each in initializers),
                ],
            }
        },
    }


def _parameters(names: Sequence[str], parameters: Sequence[Parameter]) -> dict[str, Any]:
    """The parameters of a rule whose init is one of `names`."""
    given = {parameter.name: _parameter(parameter) for parameter in parameters}
    return {
        "if": {"properties": {"init": {"enum": list(names)}}, "required": ["init"]},
        "then": {
            "properties": {**dict.fromkeys(RULE_KEYS, True), **given},
            "required": [parameter.name for parameter in parameters if parameter.required],
            "additionalProperties": False,
        },
    }


def _parameter(parameter: Parameter) -> dict[str, Any]:
    described: dict[str, Any] = {"description": parameter.type.accepts}
    if parameter.default is not None:
        described["default"] = parameter.default
    match parameter.type:
        case Number() | Whole():
            return {**described, "oneOf": [{"type": "number"}, _EXPRESSION]}
        case Word(choices) if set(choices) == {"true", "false"}:
            return {**described, "enum": [*choices, True, False]}
        case Word(choices):
            return {**described, "enum": list(choices)}
    return {**described, "type": "string"}
