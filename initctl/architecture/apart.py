"""Where a model is built: in a process of its own, unless transformers is loaded already.

torch and transformers take 380 MB, which the process that writes the weights can do without.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, NoReturn

from initctl.architecture.model import Description, Model
from initctl.errors import InputError, Problem, StorageError, UsageError, escape, shown

_CHILD = "import sys; sys.path[:] = sys.argv[1:]; from initctl.architecture.child import main; main(sys.stdin.buffer)"
"""The program of the process. Its arguments are the directories in which it finds packages."""
_HOME = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
"""The directory that contains initctl."""
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
    command = [sys.executable, "-Pc", _CHILD, *_search_path()]
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


def _search_path() -> list[str]:
    """Where this process finds packages, without the working directory, unless that contains initctl itself."""
    paths = [path for path in sys.path if isinstance(path, str)]
    return [path for path in paths if _is_same(path, _HOME) or not _is_same(path, os.curdir)]


def _is_same(path: str, directory: str) -> bool:
    try:
        return os.path.samefile(path or os.curdir, directory)
    except OSError:
        return False


def _raise(answer: Mapping[str, Any]) -> NoReturn:
    raise _ERRORS[answer["error"]](*(Problem(*problem) for problem in answer["problems"]))
