"""`initctl stats`: what tensors hold, in numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

import initctl
from initctl.cli.options import CHECKPOINT, COMPONENT, HTML, ROOT, UNFOLD, flag, grouped
from initctl.cli.output import Output

if TYPE_CHECKING:
    from initctl.display.tables import Report


@grouped
def stats(
    checkpoint: str = CHECKPOINT,
    patterns: list[str] = typer.Argument(None, metavar="PATTERN", help="Which tensors; default: all."),
    *,
    root: str | None = ROOT,
    component: str | None = COMPONENT,
    digest: bool = flag("--digest", text="Show the SHA-256 of each tensor's bytes, too."),
    by_layer: bool = flag("--by-layer", text="Show how spread and norm change with depth."),
    unfold: bool = UNFOLD,
    html: str | None = HTML,
    out: Output,
) -> None:
    """Show what tensors hold, in numbers.

    Every element is read once; nothing is written. Blocks show how the numbers of a sample are distributed, up to four
    standard deviations from the mean. NaN, infinite, zero and subnormal numbers are counted.

    Example: initctl stats model.safetensors '*.weight' --by-layer
    """
    with out.events("reading") as on_event:
        found = initctl.stats(
            checkpoint,
            patterns,
            root=root,
            component=component,
            digest=digest,
            threads=out.threads,
            on_event=on_event,
        )
    out.warn(found.checkpoint.warnings)

    def report() -> Report:
        return found.by_layer() if by_layer else found.report(unfold=unfold)

    out.page(html, lambda pages: pages.statistics_page(found))
    out.result("stats", found.to_json, report)
