"""`initctl initializers`: a list, or an explanation of one."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import typer

from initctl.cli.options import grouped
from initctl.cli.output import Output
from initctl.display.tables import Listing, Report
from initctl.initializers import REGISTRY, Initializer, Parameter
from initctl.suggesting.activations import ACTIVATIONS, Advice, known_activation

COMMAND = "initializers"
NAME = typer.Argument(
    None, metavar="NAME", show_default="list all", help="An initializer, or an activation such as relu."
)
_FACTS = ("name", "aliases", "summary", "formula", "source", "example")


@grouped
def initializers(name: str | None = NAME, *, out: Output) -> None:
    """List the initializers, or explain one.

    An explanation has the formula, the parameters, an example and the source. For an activation, it names the
    initializer for the layers before it, and says why.

    Examples:
    initctl initializers kaiming_normal
    initctl initializers relu

    See: initializers, fans
    """
    if name is None:
        known = list(REGISTRY)
        out.result(COMMAND, lambda: {COMMAND: list(map(initializer_json, known))}, lambda: initializers_report(known))
    elif activation := known_activation(name):
        advice = ACTIVATIONS[activation].advice
        out.result(COMMAND, lambda: {"activation": activation, **advice._asdict()}, lambda: advice_report(name, advice))
    else:
        found = REGISTRY.find(name)
        out.result(COMMAND, lambda: initializer_json(found), lambda: initializer_report(found))


def initializers_report(initializers: Iterable[Initializer]) -> Report:
    """One row for each initializer: its name with parameters, and what it gives."""
    rows = [(_call(initializer), initializer.summary) for initializer in initializers]
    return [Listing(("initializer", "gives"), rows)]


def initializer_report(initializer: Initializer) -> Report:
    """Everything about one initializer: what it gives, formula, parameters, example, source."""
    facts = [
        ("gives", initializer.summary),
        ("formula", initializer.formula),
        ("also", ", ".join(initializer.aliases)),
        ("example", f"-r '{initializer.example}'" if initializer.example else ""),
        ("source", initializer.source),
    ]
    parts: list[str | Listing] = [Listing((initializer.name, ""), [fact for fact in facts if fact[1]])]
    if initializer.parameters:
        parameters = [(p.name, _default(p), p.type.accepts) for p in initializer.parameters]
        parts += ["", Listing(("parameter", "default", "takes"), parameters)]
    return parts


def advice_report(activation: str, advice: Advice) -> Report:
    """The initializer for the layers before an activation, and the reason."""
    facts = [("initializer", advice.initializer), ("reason", advice.reason), ("source", advice.source)]
    return [Listing((activation, ""), facts)]


def initializer_json(initializer: Initializer) -> dict[str, Any]:
    """One initializer as data."""
    facts = {fact: getattr(initializer, fact) for fact in _FACTS}
    parameters = [
        {"name": p.name, "default": p.default, "required": p.required, "accepts": p.type.accepts}
        for p in initializer.parameters
    ]
    return {**facts, "parameters": parameters}


def _call(initializer: Initializer) -> str:
    parameters = ",".join(f"{p.name}={_default(p)}" for p in initializer.parameters if not p.optional)
    return f"{initializer.name}:{parameters}" if parameters else initializer.name


def _default(parameter: Parameter) -> str:
    if parameter.required:
        return "…"
    return "-" if parameter.default is None else f"{parameter.default}"
