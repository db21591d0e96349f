"""The process that builds a model: a description comes on stdin, and the answer goes to stdout, both in JSON."""

from __future__ import annotations

import json
import os
from typing import Any, BinaryIO

from initctl.architecture.building import build
from initctl.architecture.model import Description
from initctl.errors import InitctlError


def main(source: BinaryIO) -> None:
    """Answer to the description in `source`. Whatever libraries print does not reach stdout."""
    answers = os.dup(1)
    os.dup2(2, 1)
    answer = _answer(Description(**json.loads(source.read())))
    with open(answers, "w", encoding="utf-8") as stdout:
        json.dump(answer, stdout)


def _answer(description: Description) -> dict[str, Any]:
    """The model of `description` in JSON, or the error."""
    try:
        return build(description).to_json()
    except InitctlError as error:
        return {"error": type(error).__name__, "problems": [problem[:3] for problem in error.problems]}
