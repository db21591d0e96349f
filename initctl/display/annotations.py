"""Annotations: workflow commands, which GitHub Actions reads from a step's output and shows beside a line of a file."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from typing import Literal

from initctl.errors import Place, Problem, escape

Kind = Literal["error", "warning", "notice"]


def annotation(kind: Kind, title: str, message: str, place: Place | None = None) -> str:
    """`::warning title=…::…`, as actions/toolkit (packages/core/src/command.ts) writes it.

    All that it holds is escaped, so that no name ends the line and none is a command of its own. The file has its
    absolute path: a step may run in any folder of the repository.
    """
    given = {"file": os.path.abspath(place.file), "line": place.line, "col": place.column} if place else {}
    properties = ",".join(f"{key}={_property(str(value))}" for key, value in {**given, "title": title}.items())
    return f"::{kind} {properties}::{_data(message)}"


def of_problems(kind: Kind, problems: Iterable[Problem]) -> Iterator[str]:
    """An annotation for each of `problems`, at its place: there its message need not begin with it."""
    for problem in problems:
        message = str(problem).removeprefix(f"{problem.place}: ") if problem.place else str(problem)
        yield annotation(kind, problem.code, message, problem.place)


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


def _data(text: str) -> str:
    return escape(text).replace("%", "%25")
