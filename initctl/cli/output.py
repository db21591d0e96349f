"""What a command writes: results to stdout, everything else to stderr; tables for people or JSON for programs."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import typer

from initctl.cli import panels, streams
from initctl.cli.options import flag, one_of, written
from initctl.cli.signals import Ended, heeded_signals, ignore_signals
from initctl.cli.streams import complain, say, show
from initctl.display.console import progress_bar, rendered
from initctl.display.tables import Report, count
from initctl.errors import NO_MEMORY, InitctlError, Problem, UncertainError, UsageError, shown
from initctl.events import Chosen, Committed, Compiling, Event, Progress
from initctl.integers import counting

if TYPE_CHECKING:
    from initctl.page.content import Page
    from initctl.planning import Plan


TEXT, JSON = "text", "json"
"""Formats of every command that has several."""
_COMPILING = "initctl: compiling code for this machine, once; this takes about half a minute"


@dataclass(kw_only=True)
class Output:
    """The flags that mean the same in every command, and the output that follows them."""

    json: bool = flag("--json", panel=panels.REPORTING, text="Write one JSON document to stdout.")
    quiet: bool = flag(
        "--quiet", "-q", panel=panels.REPORTING, text="Print only warnings and errors: no result, no progress."
    )
    verbose: bool = flag(
        "--verbose", "-v", panel=panels.REPORTING, text="Log to stderr, and show the traceback of a bug."
    )
    no_color: bool = flag(
        "--no-color", panel=panels.REPORTING, text="Use no colors. The variable NO_COLOR does the same."
    )
    threads: int | None = typer.Option(
        None,
        "--threads",
        metavar="N",
        callback=lambda text: counting("threads", written(text)),
        rich_help_panel=panels.PERFORMANCE,
        show_default="one for each processor",
        help="Number of worker threads.",
    )

    def __post_init__(self) -> None:
        self.quiet = self.quiet or streams.is_silent
        self.warnings: list[Problem] = []
        self.failure: InitctlError | None = None
        self._end: Ended | None = None

    def form(self, given: str, known: Sequence[str]) -> str:
        """The format of the output: `given` by --format, which must be one of those `known`, or JSON with --json.

        Raises `UsageError` if it is not known, or if both flags contradict each other.
        """
        form = one_of("format", given, known)
        if self.json and form not in (TEXT, JSON):
            message = f"--json contradicts --format {form}"
            raise UsageError(Problem("usage.format", message, "leave out one of them"))
        self.json = self.json or form == JSON
        return form

    def warn(self, warnings: Sequence[Problem]) -> None:
        """Write `warnings` to stderr at once. A JSON document lists them too."""
        self.warnings += warnings
        for warning in warnings:
            complain("warning", warning)

    def page(self, path: str | None, page: Callable[[Any], Page]) -> None:
        """Write the page that `page` makes, with the package `initctl.page`, to the file `path`, if it is given.

        If it cannot be written, the result is shown nevertheless, and then the command ends with the error's status.
        """
        if path is None or streams.is_silent:
            return
        from initctl import page as pages

        try:
            made = page(pages)
            self.write(lambda: pages.write_page(made, path))
        except InitctlError as error:
            self._fail(error)

    def write(self, write: Callable[[], None]) -> None:
        """Call `write`, which writes a file in one step. Signals are ignored from now on: once the file is written, the
        command can no longer leave everything as it was.
        """
        from initctl.undisturbed import undisturbed

        with undisturbed():
            write()
            ignore_signals()

    def beside(self, output: str, what: str, write: Callable[[], None]) -> None:
        """Call `write`, which writes a file beside the result at `output`; `what` names it. The result is in place.

        If `write` fails or a signal ends it, the result is shown nevertheless, and then the command ends with status 7.
        After a signal, no other file is begun.
        """
        place = f"{shown(output)}: was written, but its {what} was not: "
        try:
            if self._end:
                raise self._end
            with heeded_signals():
                write()
        except (InitctlError, MemoryError) as error:
            problems = (error if isinstance(error, InitctlError) else NO_MEMORY).prefixed(place).problems
            self._fail(UncertainError(*problems))
        except Ended as end:
            self._end = end
            self._fail(UncertainError(Problem(f"{what}.interrupted", f"{place}{end}")))

    def _fail(self, error: InitctlError) -> None:
        """Report `error` at once. `result` will end the command with its status."""
        problems = self.failure.problems if self.failure else ()
        self.failure = type(error)(*problems, *error.problems)
        for problem in error.problems:
            complain("error", problem)

    def result(
        self,
        command: str,
        data: Callable[[], dict[str, Any]],
        report: Callable[[], str | Report],
        *,
        holds: bool = True,
    ) -> None:
        """Write the result of `command`: one JSON document or a report, as the flags say. If a check does not hold, the
        command ends with status 1; if a page or a report could not be written, with that error's status. Both matter
        more than a stdout that does not take the result.
        """
        status = self.failure.exit_status if self.failure else 0 if holds else 1
        try:
            self._write(command, data, report, status)
        except UncertainError as error:
            if not status:
                raise
            for problem in error.problems:
                complain("error", problem)
        if status:
            raise typer.Exit(status)

    def _write(
        self, command: str, data: Callable[[], dict[str, Any]], report: Callable[[], str | Report], status: int
    ) -> None:
        if self.json:
            from initctl.cli.envelope import document

            errors = self.failure.problems if self.failure else ()
            say(document(command, data(), exit_code=status, warnings=self.warnings, errors=errors), sys.stdout)
        elif not self.quiet:
            show(rendered(report(), sys.stdout))

    def commands(self, lines: Iterable[str]) -> None:
        """Write commands for a CI system. Their texts are escaped already; no other output may begin like a command."""
        if not self.quiet:
            show("\n".join(lines))

    def log(self, line: str) -> None:
        """Write a line to stderr, with `--verbose`."""
        if self.verbose:
            say(f"initctl: {line}", sys.stderr)

    @contextmanager
    def events(self, doing: str) -> Iterator[Callable[[Plan | Event], None]]:
        """A function for the library's events. It writes warnings, a log, and on a terminal the progress of `doing`."""
        bar = progress_bar(sys.stderr, doing)
        with nullcontext(lambda _: None) if self.quiet else bar as draw:

            def on_event(event: Plan | Event) -> None:
                match event:
                    case Chosen(device, engine, reason):
                        self.log(f"{device}: engine {engine}: {reason}")
                    case Progress():
                        draw(event)
                    case Compiling():
                        if sys.stderr.isatty() or self.verbose:
                            say(_COMPILING, sys.stderr)
                    case Committed():
                        ignore_signals()
                    case _:  # the plan
                        self.warn(event.warnings)
                        table = event.checkpoint
                        files = count(len(table.files), "file")
                        self.log(f"{table.format}: {count(len(table.tensors), 'tensor')}, {files}")

            yield on_event
