"""`initctl demo`: a tour of the commands on a small network."""

from __future__ import annotations

from tempfile import mkdtemp

import typer

from initctl.cli.options import grouped
from initctl.cli.output import Output
from initctl.demo import demonstrate

DIRECTORY = typer.Argument(None, metavar="DIR", help="Where the files go; default: a new temporary directory.")


@grouped
def demo(directory: str | None = DIRECTORY, *, out: Output) -> None:
    """Show the commands at work on a small network.

    Writes a checkpoint, applies rules to it, and looks at the result. The files
    stay: try the examples of the help topics on them.
    """
    found = demonstrate(directory or mkdtemp(prefix="initctl-demo-"), threads=out.threads)
    out.result("demo", found.to_json, found.report, holds=found.verified)
