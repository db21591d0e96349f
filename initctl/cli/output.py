"""How a command talks: results to stdout, everything else to stderr; tables for people or JSON for programs."""

from __future__ import annotations

import sys
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, TextIO

import typer

from initctl.cli.numbers import count_parser
from initctl.errors import Problem  # noqa: TC001 - typer resolves the annotations of Output
from initctl.escaping import as_line
from initctl.report.console import console, rendered
from initctl.report.envelope import document
from initctl.report.progress import progress_bar

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager

    from rich.console import RenderableType

    from initctl.execution import Progress


@dataclass(kw_only=True)
class Output:
    """The flags that mean the same in every command, and how it talks under them."""

    json: Annotated[bool, typer.Option("--json", help="Write one JSON document to stdout.")] = False
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Write no report and no progress; warnings and errors remain.")
    ] = False
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log to stderr; show a bug's traceback.")] = False
    no_color: Annotated[bool, typer.Option("--no-color", help="No colours; NO_COLOR does the same.")] = False
    threads: Annotated[
        int | None,
        typer.Option(
            "--threads",
            metavar="N",
            parser=count_parser("threads"),
            help="Threads that work; default: one for each processor.",
        ),
    ] = None

    warnings: list[Problem] = field(default_factory=list, init=False)

    def warn(self, warnings: Sequence[Problem]) -> None:
        """Tell `warnings` at once; a JSON document lists them too."""
        self.warnings += warnings
        for warning in warnings:
            complain("warning", warning)

    def result(
        self, command: str, data: Callable[[], dict[str, Any]], report: Callable[[], RenderableType], *, status: int = 0
    ) -> None:
        """Write the result of `command`, which ends with `status`: one JSON document or a report, as the flags say."""
        if self.json:
            say(document(command, data(), exit_code=status, warnings=self.warnings), sys.stdout)
        elif not self.quiet:
            print(rendered(report(), console(sys.stdout, color=not self.no_color)))

    def log(self, line: str) -> None:
        """A line on stderr, under `--verbose`."""
        if self.verbose:
            _write(f"initctl: {line}", sys.stderr)

    def progress(self, doing: str = "writing") -> AbstractContextManager[Callable[[Progress], None] | None]:
        """A callback that draws how far `doing` has come, on a terminal only."""
        target = console(sys.stderr, color=not self.no_color)
        if self.quiet or not sys.stderr.isatty() or target.is_dumb_terminal:
            return nullcontext()
        return progress_bar(target, doing)


def complain(kind: str, problem: Problem) -> None:
    """One line on stderr: `initctl: error: WHERE: what; what to do`. Below it, where a fault is in a text."""
    _write(f"initctl: {kind}: {problem}", sys.stderr)
    for line in problem.excerpt.lines() if problem.excerpt else ():
        _write(f"  {line}", sys.stderr)


def say(text: str, stream: TextIO) -> None:
    """Write the lines of `text`, each of them safe for a terminal and a log."""
    for line in text.split("\n"):
        _write(line, stream)


def _write(line: str, stream: TextIO) -> None:
    """The only way to a stream but for tables, which know which of their escapes color them."""
    print(as_line(line), file=stream)
