"""How a command talks: results to stdout, everything else to stderr; tables for people or JSON for programs."""

from __future__ import annotations

import sys
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any

import typer

from initctl.cli.lines import complain, say
from initctl.cli.numbers import count_parser
from initctl.display.console import rendered
from initctl.errors import Problem  # noqa: TC001 - typer resolves the annotations of Output

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager

    from initctl.display.tables import Report
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
            callback=count_parser("threads"),
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
        self, command: str, data: Callable[[], dict[str, Any]], report: Callable[[], str | Report], *, status: int = 0
    ) -> None:
        """Write the result of `command`, which ends with `status`: one JSON document or a report, as the flags say."""
        if self.json:
            from initctl.cli.envelope import document

            say(document(command, data(), exit_code=status, warnings=self.warnings), sys.stdout)
        elif not self.quiet:
            print(rendered(report(), sys.stdout, color=not self.no_color))

    def log(self, line: str) -> None:
        """A line on stderr, under `--verbose`."""
        if self.verbose:
            say(f"initctl: {line}", sys.stderr)

    def progress(self, doing: str = "writing") -> AbstractContextManager[Callable[[Progress], None] | None]:
        """A callback that draws how far `doing` has come, on a terminal only."""
        if self.quiet or not sys.stderr.isatty():
            return nullcontext()
        from initctl.display.progress import progress_bar

        return progress_bar(sys.stderr, doing, color=not self.no_color)
