"""stdout and stderr, which may have another encoding, be closed or full, or be a pipe that nobody reads any more. Lines
on them are safe for a terminal and a log.
"""

from __future__ import annotations

import io
import os
import sys
from typing import TYPE_CHECKING, TextIO

from initctl.display.colors import has_colors
from initctl.errors import Problem, UncertainError
from initctl.escaping import as_line

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer


_COLORS = {"error": "\x1b[1;31m", "warning": "\x1b[1;33m"}
"""Bold, in the terminal's own red and yellow."""
_PLAIN = "\x1b[0m"


is_silent = False
"""Whether this process says nothing, because it is one of several that share a command, and not the first."""


def open_streams() -> None:
    """Replace stdout and stderr by streams that escape what their encoding lacks, and fail as commands expect."""
    sys.stdout = _text(Stdout, sys.stdout, 1)
    sys.stderr = _text(Lenient, sys.stderr, 2)


def complain(kind: str, problem: Problem) -> None:
    """One line on stderr: `initctl: error: WHERE: what; what to do`. Below it, the place of a fault in a text."""
    if is_silent:
        return
    line = as_line(f"initctl: {kind}: {problem}")
    if has_colors(sys.stderr):
        line = line.replace(f"{kind}:", f"{_COLORS[kind]}{kind}:{_PLAIN}", 1)
    print(line, file=sys.stderr)
    for line in problem.excerpt.lines() if problem.excerpt else ():
        say(f"  {line}", sys.stderr)


def say(text: str, stream: TextIO) -> None:
    """Write the lines of `text`, made safe, in one call, since there may be many."""
    if not is_silent:
        print("\n".join(map(as_line, text.split("\n"))), file=stream)


def show(text: str) -> None:
    """Write a rendered text to stdout. It is safe already, and its escape sequences are colors."""
    if not is_silent:
        print(text)


class Lenient(io.FileIO):
    """A raw stream whose writes never fail: after the first `OSError`, everything is dropped."""

    failed = False

    def write(self, data: ReadableBuffer) -> int:
        if not self.failed:
            try:
                return super().write(data)
            except OSError as error:
                self.failed = True
                self.lost(error)
        return memoryview(data).nbytes

    def lost(self, error: OSError) -> None:
        """Called once, at the first failure."""


class Stdout(Lenient):
    """The stream of results. Losing a result is an error, unless its reader closed the pipe, as `head` does."""

    def lost(self, error: OSError) -> None:
        if not isinstance(error, BrokenPipeError):
            message = f"stdout: the output could not be written: {error.strerror}"
            raise UncertainError(Problem("report.lost", message, "the work itself is done")) from error


def _text(kind: type[Lenient], stream: TextIO | None, descriptor: int) -> io.TextIOWrapper:
    if stream is None:  # closed: reserve its number, so that no other file gets it, and let every write fail
        os.dup2(os.open(os.devnull, os.O_RDONLY), descriptor)
    encoding = stream.encoding if stream else "utf-8"
    raw = kind(descriptor, "w", closefd=False)
    return io.TextIOWrapper(io.BufferedWriter(raw), encoding=encoding, errors="backslashreplace", line_buffering=True)
