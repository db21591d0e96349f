"""The commands by name. The module of a command is loaded when it is called; listing the commands loads none."""

from __future__ import annotations

from functools import partial
from importlib import import_module
from typing import Any, cast

from typer import Typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

from initctl.cli.explanation import Explanation, Section
from initctl.cli.words import check_words

GROUPS = {
    "Initialize": {
        "plan": "Show what apply would do, tensor by tensor.",
        "apply": "Initialize tensors and write the checkpoint.",
        "new": "Create a checkpoint that is not there yet.",
        "suggest": "Suggest a recipe, with the reason beside each rule.",
        "recipe-check": "Check a recipe, and whether it fits a checkpoint.",
    },
    "Look and check": {
        "inspect": "List the tensors of a checkpoint.",
        "stats": "Show what tensors hold, in numbers.",
        "diff": "Show in what two checkpoints differ.",
        "doctor": "Look for faults of initialization.",
        "verify": "Check that a checkpoint holds exactly what the rules give.",
    },
    "Learn": {
        "demo": "Show the commands at work on a small network.",
        "help": "Explain a topic, or list the topics.",
        "initializers": "List the initializers, or explain one.",
        "presets": "List the presets, or print one as a recipe.",
    },
    "Set up": {
        "completion": "Print a script that completes command lines.",
        "recipe-schema": "Print the JSON Schema of recipes, for editors.",
        "version": "Show versions, engine, cache and devices.",
    },
}
"""The commands, grouped by what they are for."""
SUMMARIES = {name: summary for group in GROUPS.values() for name, summary in group.items()}
"""What each command does: the first line of its help."""
PLAIN: dict[str, Any] = {
    "add_completion": False,
    "rich_markup_mode": None,
    "pretty_exceptions_enable": False,
    "context_settings": {"help_option_names": ["-h", "--help"]},
}
"""Settings of each `Typer`: no boxes, and no error reports of its own."""
_READ_ON = "`initctl COMMAND --help` shows what a command takes, and `initctl help` lists topics to read."


class _AsTyped:
    """Parameters whose values are not converted before their callbacks get them; and initctl's own help.

    Typer converts values with pydantic. Loading pydantic takes longer than loading Typer, and it would not change texts
    and flags.
    """

    def get_params(self, ctx: Any) -> list[Any]:  # noqa: ANN401 - types that typer hides
        parameters: list[Any] = super().get_params(ctx)  # type: ignore[misc]
        for parameter in parameters:
            parameter.process_value = partial(_processed, parameter)
        return parameters

    def get_help(self, ctx: Any) -> str:  # noqa: ANN401
        return self.explanation(ctx).drawn()

    def explanation(self, ctx: Any) -> Explanation:  # noqa: ANN401
        """The text of its help."""
        return Explanation.of(ctx)


class Commands(_AsTyped, TyperGroup):
    """The commands, with their summaries only. A command is loaded when it is called."""

    def __init__(self, **settings: Any) -> None:  # noqa: ANN401
        super().__init__(**settings)
        self.commands = {name: TyperCommand(name, help=summary) for name, summary in SUMMARIES.items()}

    def explanation(self, ctx: Any) -> Explanation:  # noqa: ANN401
        """The text of its help, with the commands in their groups."""
        explained = super().explanation(ctx)
        groups = [Section(heading, tuple(group.items())) for heading, group in GROUPS.items()]
        return explained._replace(
            usage=f"{explained.usage} COMMAND [ARGS]...", sections=(*groups, *explained.sections), see=_READ_ON
        )

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:  # noqa: ANN401
        if args[0] not in self.commands and not ctx.resilient_parsing:
            from initctl.cli.mistyped import unknown_command

            raise unknown_command(args[0], SUMMARIES)
        name, summary, rest = super().resolve_command(ctx, args)
        return name, loaded(name) if name else summary, rest


class Command(_AsTyped, TyperCommand):
    """A command with the parameters of its function."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:  # noqa: ANN401
        ctx.allow_extra_args = True
        if not ctx.resilient_parsing:
            values, _, order = self.make_parser(ctx).parse_args(list(args))
            if "help" not in values:
                check_words(args, values, order)
        rest: list[str] = super().parse_args(ctx, args)
        if rest and not ctx.resilient_parsing:
            from initctl.cli.mistyped import unexpected

            raise unexpected(rest, ctx)
        return rest


def _processed(parameter: Any, context: Any, value: Any) -> Any:  # noqa: ANN401
    if value is None and parameter.required:
        return type(parameter).process_value(parameter, context, value)  # reports it
    if value is None and parameter.multiple:
        value = ()
    return parameter.callback(context, parameter, value) if parameter.callback else value


def explanation(name: str, parent: Any = None) -> Explanation:  # noqa: ANN401
    """The help of the command called `name`. With a `parent`, the usage has the words with which the user called it."""
    command: Any = loaded(name)
    called = name if parent else f"initctl {name}"
    explained: Explanation = command.explanation(
        command.make_context(called, [], parent=parent, resilient_parsing=True)
    )
    return explained


def loaded(name: str) -> Command:
    """The command called `name`, with its parameters."""
    function = name.replace("-", "_")
    app = Typer(**PLAIN)
    app.command(cls=Command)(getattr(import_module(f"initctl.cli.{function}"), function))
    return cast("Command", get_command(app))
