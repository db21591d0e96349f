"""Lines on stdout and stderr, each of them safe for a terminal and a log."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, TextIO

from initctl.escaping import as_line

if TYPE_CHECKING:
    from initctl.errors import Problem


def complain(kind: str, problem: Problem) -> None:
    """One line on stderr: `initctl: error: WHERE: what; what to do`. Below it, where a fault is in a text."""
    say(f"initctl: {kind}: {problem}", sys.stderr)
    for line in problem.excerpt.lines() if problem.excerpt else ():
        say(f"  {line}", sys.stderr)


def say(text: str, stream: TextIO) -> None:
    """Write the lines of `text`: at once, since there may be many.

    The only way to a stream but for reports, which know which of their escapes color them.
    """
    print("\n".join(map(as_line, text.split("\n"))), file=stream)
