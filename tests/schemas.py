"""The JSON Schemas that ship, with those that they refer to."""

from __future__ import annotations

import json
from importlib.resources import files

from jsonschema import Draft202012Validator
from referencing import Registry, Resource


def schema(name: str) -> Draft202012Validator:
    """What checks against the schema called `name`, once that is a schema."""
    content = _read(f"{name}.schema.json").contents
    Draft202012Validator.check_schema(content)
    return Draft202012Validator(content, registry=Registry(retrieve=_read))


def _read(file: str) -> Resource:
    return Resource.from_contents(json.loads((files("initctl.schemas") / file).read_text(encoding="utf-8")))
