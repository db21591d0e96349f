"""`initctl stats`: statistics of tensors."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

import initctl
from initctl.cli import panels
from initctl.cli.options import CHECKPOINT, COMPONENT, HTML, ROOT, UNFOLD, flag, grouped
from initctl.cli.output import Output

if TYPE_CHECKING:
    from initctl.display.tables import Report


@grouped
def stats(
    checkpoint: str = CHECKPOINT,
    patterns: list[str] = typer.Argument(
        None, metavar="PATTERN", show_default="all", help="Names of the tensors to show."
    ),
    *,
    root: str | None = ROOT,
    component: str | None = COMPONENT,
    digest: bool = flag("--digest", panel=panels.REPORTING, text="Also show the SHA-256 of each tensor's bytes."),
    by_layer: bool = flag("--by-layer", panel=panels.REPORTING, text="Show how spread and norm change with depth."),
    unfold: bool = UNFOLD,
    html: str | None = HTML,
    out: Output,
) -> None:
    """Show what tensors hold, in numbers.

    Every element is read once. Blocks show how the numbers of a sample are distributed, up to four standard deviations
    from the mean. NaN, infinite, zero and subnormal numbers are counted. Nothing is written.

    Examples:
    initctl stats net.safetensors '*.weight'
    initctl stats gpt2/ --by-layer --html stats.html

    See: stats, reports
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
