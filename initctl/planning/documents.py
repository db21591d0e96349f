"""The document of a plan: what is in the file, whatever version of the file that is."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, NoReturn

from initctl.errors import ConflictError, InputError, Problem, shown
from initctl.formats.reading import read_small
from initctl.formats.strict_json import InvalidJson, parse_object
from initctl.planning.digests import digest

if TYPE_CHECKING:
    from collections.abc import Mapping

_ANY_SCHEMA = "initctl-plan/"
SCHEMA = f"{_ANY_SCHEMA}1"
_DIGEST = "digest"
LONGEST = 100_000_000
"""Bytes of a document."""


def signed(document: Mapping[str, Any]) -> dict[str, Any]:
    """A document with the digest of all else in it, so that nothing else is carried out."""
    content = {key: value for key, value in document.items() if key != _DIGEST}
    return {**content, _DIGEST: digest(content)}


def read_document(path: str) -> dict[str, Any]:
    """The document in the file at `path`, as it was saved. Raises `InputError`."""
    try:
        document = parse_object(read_small(path, LONGEST))
    except InvalidJson as error:
        malformed(shown(path), str(error))
    if document.get("schema") != SCHEMA:
        fault = f"is not a saved plan: its schema is not {SCHEMA}"
        malformed(shown(path), fault, "save one with initctl plan --save")
    if document.get(_DIGEST) != signed(document)[_DIGEST]:
        malformed(shown(path), "is not as it was saved: its digest differs", "plan again")
    for key in ("checkpoint", "root", "component", "table", "tensors"):
        if not isinstance(document.get(key), str):
            malformed(shown(path), f"is damaged: {key} is not a text", "plan again")
    return document


def check_replaceable(path: str) -> None:
    """Raise `ConflictError` if a file is at `path` that is neither empty nor a plan."""
    if os.path.isfile(path) and os.path.getsize(path) and not _is_plan(path):
        message = f"{shown(path)}: exists and is not a saved plan"
        raise ConflictError(Problem("output.not_plan", message, "name another file, or replace it with --force"))


def _is_plan(path: str) -> bool:
    """Whether a document like a plan is at `path`, of whatever version."""
    try:
        schema = parse_object(read_small(path, LONGEST)).get("schema")
    except (InputError, InvalidJson):
        return False
    return isinstance(schema, str) and schema.startswith(_ANY_SCHEMA)


def malformed(name: str, fault: str, hint: str | None = None) -> NoReturn:
    """Raise the `InputError` for the plan that messages call `name`."""
    raise InputError(Problem("plan.malformed", f"{name}: {fault}", hint))
