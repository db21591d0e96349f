"""The app. Every error, interrupt and bug becomes one line and an exit status."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Sequence
from contextlib import suppress
from itertools import pairwise
from typing import Annotated, NoReturn

import typer

import initctl
from initctl.cli.commands import PLAIN, SUMMARIES, Commands
from initctl.cli.pointers import topics_of, with_pointer
from initctl.cli.ranks import leave, sharing
from initctl.cli.signals import Ended, raise_on_signals
from initctl.cli.streams import complain, open_streams, say, show
from initctl.errors import (
    NO_MEMORY,
    InitctlError,
    InitctlWarning,
    Problem,
    StorageError,
    UncertainError,
    UsageError,
    escape,
)

BUG = 70
_SIGNALLED = 128
"""If a signal ends the process, the exit status is this plus the signal's number."""

app = typer.Typer(name="initctl", cls=Commands, invoke_without_command=True, **PLAIN)


@app.callback()
def initctl_app(
    context: typer.Context, *, version: Annotated[bool, typer.Option("--version", help="Show the version.")] = False
) -> None:
    """Initialize the weights of a saved checkpoint by rules, and leave everything else as it is."""
    if version:
        say(f"initctl {initctl.__version__}", sys.stdout)
        raise typer.Exit
    if context.invoked_subcommand is None:
        show(context.get_help())
        raise typer.Exit(UsageError.exit_status)


def main() -> NoReturn:
    """Run the command line and end the process with its exit status."""
    if "--no-color" in sys.argv:  # set before a command reads the option, since errors and warnings need it too
        os.environ["NO_COLOR"] = "1"
    open_streams()
    raise_on_signals()
    leave(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Run the command line `arguments`; returns the exit status."""
    warnings.filterwarnings("ignore", category=InitctlWarning)  # commands report warnings themselves
    try:
        with sharing(arguments):
            return app(list(arguments), standalone_mode=False) or 0
    except InitctlError as error:
        return _fail(arguments, error.exit_status, error.problems)
    except typer.TyperException as error:
        from initctl.cli.mistyped import problem_of

        return _fail(arguments, UsageError.exit_status, [problem_of(error)])
    except Ended as end:
        return _fail(arguments, _SIGNALLED + end.number, [Problem("interrupted", str(end))])
    except MemoryError:
        return _fail(arguments, NO_MEMORY.exit_status, NO_MEMORY.problems)
    except ImportError as error:
        fault = f"a package that initctl needs cannot be loaded: {escape(str(error))}"
        return _fail(arguments, StorageError.exit_status, [Problem("storage.import", fault, "install it again")])
    except Exception as error:  # noqa: BLE001 - reported as a bug
        if {"--verbose", "-v"} & set(arguments):
            import traceback

            say(traceback.format_exc().rstrip(), sys.stderr)
        fault = f"this is a bug in initctl: {type(error).__name__}: {escape(str(error))}"
        return _fail(arguments, BUG, [Problem("bug", fault, "run again with --verbose and report it")])


def _fail(arguments: Sequence[str], status: int, problems: Sequence[Problem]) -> int:
    if status == UsageError.exit_status:
        problems = [with_pointer(problem, _command(arguments)) for problem in problems]
    for problem in problems:
        complain("error", problem)
    if topics := topics_of(problems):
        say(f"see: {', '.join(f'initctl help {topic}' for topic in topics)}", sys.stderr)
    if _asks_for_json(arguments):
        from initctl.cli.envelope import document

        with suppress(UncertainError):  # the error itself is on stderr already
            say(document(_command(arguments), None, exit_code=status, errors=problems), sys.stdout)
    return status


def _asks_for_json(arguments: Sequence[str]) -> bool:
    """Whether `--json` or `--format json` asks for a JSON document."""
    forms = pairwise(arguments)
    return "--json" in arguments or "--format=json" in arguments or ("--format", "json") in forms


def _command(arguments: Sequence[str]) -> str | None:
    """The command that is called, if one is."""
    return next((argument for argument in arguments[:1] if argument in SUMMARIES), None)
