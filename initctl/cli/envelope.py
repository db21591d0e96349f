"""The JSON document that every command writes with `--json`, whether it succeeds or fails."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from initctl.display.json_rows import as_json
from initctl.topics.codes import topic_of

if TYPE_CHECKING:
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
    """One document in ASCII. All other characters are escaped, and so are commands that a CI system would obey."""
    content = {
        "schema": SCHEMA,
        "command": command,
        "status": _STATUS.get(exit_code, "error"),
        "exit_code": exit_code,
        "data": data,
        "warnings": list(map(_problem, warnings)),
        "errors": list(map(_problem, errors)),
    }
    return as_json(content).replace("##", "#\\u0023")


def _problem(problem: Problem) -> dict[str, Any]:
    return {
        "code": problem.code,
        "message": problem.message,
        "hint": problem.hint,
        "place": problem.place and problem.place._asdict(),
        "topic": topic_of(problem),
    }
