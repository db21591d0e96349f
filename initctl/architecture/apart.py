"""Where a model is built: in a process of its own, unless transformers is loaded already.

torch and transformers take 380 MB, which the process that writes the weights can do without.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, NoReturn

from initctl.architecture.model import Description, Model
from initctl.errors import InputError, Problem, StorageError, UsageError, escape, shown

_CHILD = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from initctl.architecture.child import main; "
    "main(sys.stdin.buffer)"
)
"""The program of the process. It finds packages where this one does, and not in the working directory."""
_LONGEST_LINE = 400
_ERRORS = {kind.__name__: kind for kind in (InputError, StorageError, UsageError)}


def model_of(description: Description) -> Model:
    """The model of `description`.

    Raises `InputError` if transformers refuses it, `UsageError` for an unknown setting, and `StorageError` if
    transformers is missing.
    """
    if "transformers" in sys.modules:
        from initctl.architecture.building import build

        return build(description)
    return _by_child(description)


def _by_child(description: Description) -> Model:
    command = [sys.executable, "-Pc", _CHILD, json.dumps(sys.path)]
    request = json.dumps(asdict(description)).encode()
    run = subprocess.run(command, input=request, capture_output=True, check=False)  # noqa: S603 - this very program
    if run.returncode or not run.stdout:
        last = run.stderr.decode(errors="replace").strip().rpartition("\n")[2][:_LONGEST_LINE]
        fault = f"{shown(description.path)}: the process that builds the model ended with status {run.returncode}"
        raise StorageError(Problem("config.process", f"{fault}: {escape(last)}"))
    answer = json.loads(run.stdout)
    if "error" in answer:
        _raise(answer)
    return Model.from_json(answer)


def _raise(answer: Mapping[str, Any]) -> NoReturn:
    raise _ERRORS[answer["error"]](*(Problem(*problem) for problem in answer["problems"]))
