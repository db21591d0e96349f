"""The commands by name. What one needs is loaded when it is called: help that lists them needs none of it."""

from __future__ import annotations

from functools import partial
from importlib import import_module
from typing import Any, cast

from typer import Typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

SUMMARIES = {
    "apply": "Initialize tensors and write the checkpoint.",
    "plan": "Show what apply would do, tensor by tensor.",
    "verify": "Check that a checkpoint holds exactly what the rules give.",
    "inspect": "List the tensors of a checkpoint.",
    "stats": "Show what tensors hold, in numbers.",
    "diff": "Show in what two checkpoints differ.",
    "suggest": "Suggest a recipe, with the reason beside each rule.",
    "doctor": "Look for faults of initialization.",
    "initializers": "List the initializers, or explain one.",
    "presets": "List the presets, or print one as a recipe.",
    "recipe-check": "Check a recipe, and whether it fits a checkpoint.",
    "recipe-schema": "Print the JSON Schema of recipes, for editors.",
    "demo": "Show the commands at work on a small network.",
    "completion": "Print a script that completes command lines.",
    "version": "Show versions, engine, cache and devices.",
    "help": "Explain a topic, or list the topics.",
}
"""What each command is for: the first line of its own help."""
PLAIN: dict[str, Any] = {
    "add_completion": False,
    "rich_markup_mode": None,
    "pretty_exceptions_enable": False,
    "context_settings": {"help_option_names": ["-h", "--help"]},
}
"""Settings of each `Typer`: it draws no boxes, and reports nothing in its own way."""


class _AsTyped:
    """Parameters whose values are taken as they are typed, and given to their callbacks.

    Typer converts values with pydantic: loading it takes longer than loading Typer, and it changes no text and no flag.
    """

    def get_params(self, ctx: Any) -> list[Any]:  # noqa: ANN401 - types that typer hides
        parameters: list[Any] = super().get_params(ctx)  # type: ignore[misc]
        for parameter in parameters:
            parameter.process_value = partial(_processed, parameter)
        return parameters


class Commands(_AsTyped, TyperGroup):
    """Known by their summaries only; the one that is called takes the place of its own."""

    def __init__(self, **settings: Any) -> None:  # noqa: ANN401
        super().__init__(**settings)
        self.commands = {name: TyperCommand(name, help=summary) for name, summary in SUMMARIES.items()}

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:  # noqa: ANN401
        name, summary, rest = super().resolve_command(ctx, args)
        return name, loaded(name) if name else summary, rest


class Command(_AsTyped, TyperCommand):
    """A command with the parameters of its function."""


def _processed(parameter: Any, context: Any, value: Any) -> Any:  # noqa: ANN401
    if value is None and parameter.required:
        return type(parameter).process_value(parameter, context, value)  # reports it
    if value is None and parameter.multiple:
        value = ()
    return parameter.callback(context, parameter, value) if parameter.callback else value


def loaded(name: str) -> Command:
    """The command called `name`, with its parameters."""
    function = name.replace("-", "_")
    app = Typer(**PLAIN)
    app.command(cls=Command)(getattr(import_module(f"initctl.cli.{function}"), function))
    return cast("Command", get_command(app))
