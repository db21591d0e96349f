"""`initctl demo`: a tour of the commands on a small network."""

from __future__ import annotations

from tempfile import mkdtemp

import typer

from initctl.cli.options import grouped
from initctl.cli.output import Output
from initctl.demo import demonstrate

DIRECTORY = typer.Argument(None, metavar="DIR", show_default="a new temporary directory", help="Where the files go.")


@grouped
def demo(directory: str | None = DIRECTORY, *, out: Output) -> None:
    """Show the commands at work on a small network.

    The demo writes a checkpoint, applies rules to it, and looks at the result. The files stay: try the examples of the
    help topics on them.

    Examples:
    initctl demo
    initctl demo tour/

    See: rules, initializers
    """
    found = demonstrate(directory or mkdtemp(prefix="initctl-demo-"), threads=out.threads)
    out.result("demo", found.to_json, found.report, holds=found.verified)
