"""`initctl demo`: the main job on a small network, and a look at what it did."""

from __future__ import annotations

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
    if directory is None:
        with TemporaryDirectory(prefix="initctl-demo-") as temporary:
            _show(temporary, out)
    else:
        _show(directory, out)


def _show(directory: str, out: Output) -> None:
    shown = demonstrate(directory, threads=out.threads)
    out.warn(shown.applied.plan.warnings)
    out.result("demo", shown.to_json, shown.report, holds=not shown.wrong)
