"""Answers to a command line that cannot be read: what is wrong, and what to write instead."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from initctl.errors import Problem, UsageError, escape, listed, shown
from initctl.suggestions import about_shapes, did_you_mean, nearest

_CONVERT = "initctl apply IN -o OUT.safetensors"
_PLAN = "initctl plan shows what apply would do, and writes nothing"
_NO_OPTIMIZER = f"a conversion leaves the optimizer out: {_CONVERT}"
_SELECT = "the pattern of a rule selects tensors: -r 'PATTERN=INIT'"
_EXCLUDE = "exclude tensors by a last rule: -r 'PATTERN=keep'"
_COMMANDS = {
    "convert": f"apply converts: {_CONVERT}",
    **dict.fromkeys(("init", "initialize", "run", "fill", "reset"), "did you mean apply?"),
    **dict.fromkeys(("show", "ls", "list", "info"), "did you mean inspect?"),
    **dict.fromkeys(("check", "validate"), "did you mean verify or doctor?"),
    "compare": "did you mean diff?",
    **dict.fromkeys(("create", "make", "generate"), "did you mean new?"),
}
"""The names of other tools for commands, and what to write."""
_OPTIONS = {
    **dict.fromkeys(("--out", "-o", "--output", "--save"), ("--output", "--save")),
    "--overwrite": ("--force",),
    "-s": ("--seed",),
    **dict.fromkeys(("-j", "-t", "--jobs", "--workers"), ("--threads",)),
}
"""The names of other tools for options, and the names here: a command has one of them, or none."""
_IN_WORDS = {
    **dict.fromkeys(("--dry-run", "-n"), _PLAN),
    **dict.fromkeys(("--no-optimizer", "--drop-optimizer", "--weights-only"), _NO_OPTIMIZER),
    **dict.fromkeys(("--only", "--include", "--filter"), _SELECT),
    **dict.fromkeys(("--exclude", "--skip", "--freeze"), _EXCLUDE),
}
"""Options that no command has, and what to write in place of them to a command that takes rules."""
_SIMILARITY = 0.7
"""More than between words: a wrong option does more harm."""


def problem_of(error: Any) -> Problem:  # noqa: ANN401 - types that typer hides
    """The problem in `error`, which typer raised."""
    if hasattr(error, "possibilities"):
        return _problem(f"unknown option {escape(error.option_name)}", _for_option(error.option_name, error.ctx))
    fault = escape(error.format_message().rstrip(".").replace("'", ""))
    return _problem(fault[:1].lower() + fault[1:])


def unknown_command(name: str, known: Collection[str]) -> UsageError:
    """The error of `name`, which is not among the `known` commands."""
    hint = _COMMANDS.get(name.casefold()) or did_you_mean(name, known)
    return UsageError(_problem(f"unknown command {shown(name)}", hint))


def unexpected(arguments: Sequence[str], context: Any) -> UsageError:  # noqa: ANN401
    """The error of a command that takes fewer `arguments`."""
    first, *others = arguments
    fault = f"unexpected argument{'s' * bool(others)} {listed([shown(argument) for argument in arguments])}"
    options, given, hint = _options_of(context), context.params, None
    if "--rule" in options and "=" in first:
        hint = "give each rule with -r"
    elif "--recipe" in options and first.endswith(".toml"):
        hint = f"write -f {shown(first)} to read its rules"
    elif "--like" in options and not others and (source := _source(first)) and not _has_source(given):
        hint = f"write {source} {shown(first)}"
    elif "--output" in options and not others and not (given["output"] or given.get("in_place")):
        hint = f"write -o {shown(first)} to write the result there"
    return UsageError(_problem(fault, hint))


def _has_source(given: Mapping[str, Any]) -> bool:
    return any(given[name] for name in ("like", "config", "table"))


def _source(path: str) -> str | None:
    """The option of `initctl new` that takes what is at `path`; None if nothing is there."""
    from initctl.formats.config import CONFIG
    from initctl.formats.directories.weight_names import weight_name

    if os.path.isdir(path):
        names = os.listdir(path)
        return "--config" if CONFIG in names and not any(map(weight_name, names)) else "--like"
    if not os.path.isfile(path):
        return None
    if path.endswith(".json") and not path.endswith(".index.json"):
        return "--config" if os.path.basename(path) == CONFIG else "--table"
    return "--like"


def _for_option(option: str, context: Any) -> str | None:  # noqa: ANN401
    """What to write in place of `option`, which the command does not have."""
    known = _options_of(context)
    if found := next((name for name in _OPTIONS.get(option, ()) if name in known), None):
        return f"did you mean {found}?"
    if "--rule" in known and (words := _IN_WORDS.get(option)):
        is_idle = words == _PLAN and "--output" not in known
        return f"leave it out: {context.info_name} writes no checkpoint" if is_idle else words
    near = nearest(option.strip("-"), [name.strip("-") for name in known], similarity=_SIMILARITY)
    return f"did you mean --{near[0]}?" if near else about_shapes(option)


def _options_of(context: Any) -> Collection[str]:  # noqa: ANN401
    """The long names of the options that the command of `context` has."""
    parameters = context.command.get_params(context)
    return [name for parameter in parameters for name in parameter.opts if name.startswith("--")]


def _problem(fault: str, hint: str | None = None) -> Problem:
    return Problem("usage.command_line", fault, hint)
