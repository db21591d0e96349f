"""`initctl diff`: the differences between two checkpoints."""

from __future__ import annotations

import typer

import initctl
from initctl.cli import panels
from initctl.cli.options import COMPONENT, HTML, ROOT, UNFOLD, grouped
from initctl.cli.output import Output


@grouped
def diff(
    a: str = typer.Argument(..., metavar="A", help="A checkpoint, in any format."),
    b: str = typer.Argument(..., metavar="B", help="The checkpoint to compare it with, in any format."),
    patterns: list[str] = typer.Argument(
        None, metavar="PATTERN", show_default="all, and other files", help="Names of the tensors to compare."
    ),
    *,
    root: str | None = ROOT,
    other_root: str | None = typer.Option(
        None,
        "--other-root",
        metavar="KEYS",
        rich_help_panel=panels.CHECKPOINT,
        show_default="as --root",
        help="The same for B.",
    ),
    component: str | None = COMPONENT,
    unfold: bool = UNFOLD,
    html: str | None = HTML,
    out: Output,
) -> None:
    """Show in what two checkpoints differ.

    Tensors are compared by name, whatever files they are in: first their bytes, then the numbers of those that differ.
    Metadata is compared if the formats are the same, and other files if both are directories. If anything differs, the
    status is 1. Nothing is written.

    Examples:
    initctl diff net.safetensors init.safetensors
    initctl diff net.safetensors init.safetensors '*.bias' --html diff.html

    See: diff, reports
    """
    with out.events("comparing") as on_event:
        found = initctl.diff(
            a,
            b,
            patterns,
            root=root,
            other_root=other_root,
            component=component,
            threads=out.threads,
            on_event=on_event,
        )
    out.warn((*found.a.warnings, *found.b.warnings))
    with out.events("measuring") as on_event:
        out.page(html, lambda pages: pages.differences_page(found, threads=out.threads, on_event=on_event))
    out.result("diff", found.to_json, lambda: found.report(unfold=unfold), holds=not found.differ)
