"""The JSON Schema of recipes takes what recipes can say, and refuses what they cannot."""

from __future__ import annotations

import json
import tomllib
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from initctl.initializers import REGISTRY
from initctl.recipes.document import KEYS, RULE_KEYS
from initctl.recipes.presets import presets
from initctl.recipes.schema import recipe_schema

SCHEMA = recipe_schema()
VALIDATOR = Draft202012Validator(SCHEMA)


def rule(**entry: Any) -> dict[str, Any]:
    return {"rule": [{"match": "a", "init": "zeros", **entry}]}


def test_it_is_a_schema_and_json():
    Draft202012Validator.check_schema(SCHEMA)
    assert json.loads(json.dumps(SCHEMA, allow_nan=False)) == SCHEMA
    assert set(SCHEMA["properties"]) == set(KEYS)
    assert set(SCHEMA["$defs"]["rule"]["properties"]) == set(RULE_KEYS)


@pytest.mark.parametrize("name", presets())
def test_it_takes_every_preset(name: str):
    assert list(VALIDATOR.iter_errors(tomllib.loads(presets()[name].text))) == []


@pytest.mark.parametrize("initializer", list(REGISTRY), ids=lambda initializer: initializer.name)
def test_it_takes_the_example_of_every_initializer_in_both_forms(initializer: Any):
    selector, _, call = initializer.example.partition("=")
    assert VALIDATOR.is_valid({"rule": [{"match": selector, "init": call}]})
    name, _, arguments = call.partition(":")
    entry = {"match": selector, "init": name}
    for argument in filter(None, arguments.split(",")):
        key, _, value = argument.partition("=")
        entry[key] = value
    assert list(VALIDATOR.iter_errors({"rule": [entry]})) == []
    assert not VALIDATOR.is_valid({"rule": [{**entry, "no_such": 1}]})
    for parameter in initializer.parameters:
        if parameter.required:
            assert not VALIDATOR.is_valid({"rule": [{k: v for k, v in entry.items() if k != parameter.name}]})


@pytest.mark.parametrize(
    "document",
    [
        {},
        {
            "seed": 0,
            "extends": "a.toml",
            "optional": True,
            "vars": {"a": 1, "b": "1/2"},
            "config": {"x": [1]},
            "base": {"x": 2},
        },
        {"extends": ["preset:gpt2", "a.toml"], "preset": {"summary": "s"}},
        {"rows": {"a.*": 5, "b": "pad:64", "c": "7"}, "dims": {"d": [1, 2], "e": "3,4"}, "set_config": {"f": {"g": 1}}},
        rule(match=["a", "b"], where="ndim == 2", optional=False),
        rule(init="keep"),
        rule(init="normal", std=0.5),
        rule(init="normal", std="1/fan_in"),
        rule(init="normal:std=0.5", mean=1),
        rule(init="he_normal", mode="fan_out"),
        rule(init="perturb", std=1, rel=True),
        rule(init="perturb", std=1, rel="true"),
        rule(init="copy", **{"from": "a.safetensors#x", "row": 3}),
    ],
)
def test_it_takes_what_recipes_say(document: dict[str, Any]):
    assert list(VALIDATOR.iter_errors(document)) == []


@pytest.mark.parametrize(
    "document",
    [
        {"sed": 1}, {"seed": -1}, {"seed": 1.5}, {"seed": "1"}, {"seed": 2**64}, {"optional": "yes"}, {"vars": 1},
        {"vars": {"a": [1]}}, {"vars": {"a": ""}}, {"rule": {}}, {"rule": [1]}, {"extends": 1},
        {"preset": {"sumary": "a"}}, {"vars": {"fan_in": 1}}, {"vars": {"a.b": 1}}, {"vars": {"a": True}},
        {"rule": [{"match": "a"}]}, {"rule": [{"init": "zeros"}]}, rule(match=[]), rule(match=1), rule(match=""),
        rule(where=1), rule(optional=1), rule(init="nrmal"), rule(init=1), rule(val=1), rule(init="keep", std=1),
        rule(init="normal", std=[1]), rule(init="normal", sdt=1), rule(init="kaiming_normal", mode="fan"),
        rule(init="xavier_normal", gain=True), {"rows": {"a": 0}}, {"rows": {"a": "5,6"}}, {"dims": {"a": "pad:64"}},
        {"dims": {"a": []}}, {"dims": {"a": 5}}, {"rows": 5}, {"set_config": 5},
    ],
)  # fmt: skip
def test_it_refuses_what_recipes_cannot_say(document: dict[str, Any]):
    assert not VALIDATOR.is_valid(document)
