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
from initctl.cli.address_space import check_address_space
from initctl.cli.commands import PLAIN, SUMMARIES, Commands
from initctl.cli.pointers import topics_of, with_pointer
from initctl.cli.ranks import leave, sharing
from initctl.cli.signals import Ended, drop_unraisable, ignore_signals, raise_on_signals
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
    shown,
)
from initctl.system_errors import failure

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
    if not _is_verbose(sys.argv):
        drop_unraisable()
    try:
        open_streams()
    except OSError as error:
        leave(_fail(sys.argv[1:], StorageError.exit_status, failure(error).problems))
    raise_on_signals()
    leave(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Run the command line `arguments`; returns the exit status. Signals are ignored afterwards."""
    try:
        return _run(arguments)
    except Ended as end:
        return _fail(arguments, _SIGNALLED + end.number, [Problem("interrupted", str(end))])
    finally:
        ignore_signals()


def _run(arguments: Sequence[str]) -> int:
    """The exit status of the command line `arguments`. Raises `Ended`, but not once an error is reported."""
    warnings.filterwarnings("ignore", category=InitctlWarning)  # commands report warnings themselves
    try:
        check_address_space()
        with sharing(arguments):
            return app(list(arguments), standalone_mode=False) or 0
    except InitctlError as error:
        return _fail(arguments, error.exit_status, error.problems)
    except typer.TyperException as error:
        from initctl.cli.mistyped import problem_of

        return _fail(arguments, UsageError.exit_status, [problem_of(error)])
    except MemoryError:
        return _fail(arguments, NO_MEMORY.exit_status, NO_MEMORY.problems)
    except ImportError as error:
        _trace(arguments)
        if (error.name or "").partition(".")[0] == "initctl":
            return _fail(arguments, BUG, [_bug(error)])
        return _fail(arguments, StorageError.exit_status, [_not_loaded(error)])
    except OSError as error:
        _trace(arguments)
        found = failure(error)
        return _fail(arguments, found.exit_status, found.problems)
    except Exception as error:  # noqa: BLE001 - reported as a bug
        _trace(arguments)
        return _fail(arguments, BUG, [_bug(error)])


def _bug(error: Exception) -> Problem:
    fault = f"this is a bug in initctl: {type(error).__name__}: {escape(str(error))}"
    return Problem("bug", fault, "run again with --verbose and report it")


def _not_loaded(error: BaseException) -> Problem:
    """The problem of a package that cannot be imported: the first cause, since packages add pages of advice to it."""
    while error.__cause__:
        error = error.__cause__
    fault = f"a package that initctl needs cannot be loaded: {shown(str(error).strip())}"
    return Problem("storage.import", fault, "install it again")


def _trace(arguments: Sequence[str]) -> None:
    """With `--verbose`, write the traceback of the exception that is being handled."""
    if _is_verbose(arguments):
        import traceback

        say(traceback.format_exc().rstrip(), sys.stderr)


def _is_verbose(arguments: Sequence[str]) -> bool:
    return bool({"--verbose", "-v"} & set(arguments))


def _fail(arguments: Sequence[str], status: int, problems: Sequence[Problem]) -> int:
    """Report `problems`, which signals must not interrupt. Returns `status`."""
    ignore_signals()
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
