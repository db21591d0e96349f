"""`initctl initializers`: the list of them, or one explained."""

from __future__ import annotations

from typing import Annotated

import typer

from initctl.cli.options import grouped
from initctl.cli.output import Output
from initctl.initializers import REGISTRY
from initctl.report.initializers import initializer_json, initializer_report, initializers_report

COMMAND = "initializers"

Name = Annotated[str | None, typer.Argument(metavar="NAME", help="The one to explain.")]


@grouped
def initializers(name: Name = None, *, out: Output) -> None:
    """List the initializers, or explain one.

    An explanation has formula, parameters, an example, and the source.
    """
    if name is None:
        known = list(REGISTRY)
        out.result(COMMAND, lambda: {COMMAND: list(map(initializer_json, known))}, lambda: initializers_report(known))
    else:
        found = REGISTRY.find(name)
        out.result(COMMAND, lambda: initializer_json(found), lambda: initializer_report(found))
