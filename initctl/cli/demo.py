"""`initctl demo`: the main job on a small network, and a look at what it did."""

from __future__ import annotations

from contextlib import nullcontext
from tempfile import TemporaryDirectory

import typer

from initctl.cli.options import grouped
from initctl.cli.output import Output
from initctl.demo import demonstrate

DIRECTORY = typer.Argument(
    None, metavar="DIR", help="Where the files go; default: a temporary directory, removed at the end."
)


@grouped
def demo(directory: str | None = DIRECTORY, *, out: Output) -> None:
    """Initialize a small network, and verify it.

    Writes a checkpoint, applies rules to it, reads the result back, and shows what changed.
    """
    place = TemporaryDirectory(prefix="initctl-demo-") if directory is None else nullcontext(directory)
    with place as folder:
        shown = demonstrate(folder, threads=out.threads)
        out.warn(shown.applied.plan.warnings)
        out.result("demo", shown.to_json, shown.report, holds=not shown.wrong)
