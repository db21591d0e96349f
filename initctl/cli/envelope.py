"""The JSON document that every command writes under `--json`, whether it succeeds or fails."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from initctl.errors import Problem

SCHEMA = "initctl/1"
_STATUS = {0: "ok", 1: "negative"}


def document(
    command: str | None,
    data: dict[str, Any] | None,
    *,
    exit_code: int = 0,
    warnings: Sequence[Problem] = (),
    errors: Sequence[Problem] = (),
) -> str:
    """One document, in ASCII: JSON's escapes stand for all other characters, and break what a log could obey.

    Each row of a list of objects, such as a tensor, is one line.
    """
    content = {
        "schema": SCHEMA,
        "command": command,
        "status": _STATUS.get(exit_code, "error"),
        "exit_code": exit_code,
        "data": data,
        "warnings": list(map(_problem, warnings)),
        "errors": list(map(_problem, errors)),
    }
    return _text(content).replace("##", "#\\u0023")


def _text(value: object, margin: str = "\n") -> str:
    """`value` as JSON, on lines after `margin`; rows are written all at once, since there may be many."""
    inner = f"{margin}  "
    if isinstance(value, dict) and value:
        items = (f"{json.dumps(key)}: {_text(item, inner)}" for key, item in value.items())
        return f"{{{inner}{f',{inner}'.join(items)}{margin}}}"
    text = json.dumps(value, allow_nan=False)
    if isinstance(value, list) and text.startswith("[{"):
        rows = text[1:-1].replace('}, {"', f'}},{inner}{{"')  # not found in a string, which has \" for "
        return f"[{inner}{rows}{margin}]"
    return text


def _problem(problem: Problem) -> dict[str, str | None]:
    return {"code": problem.code, "message": problem.message, "hint": problem.hint}
