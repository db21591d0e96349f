"""The page of the differences between two checkpoints."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from initctl.display.tables import Report, size_text
from initctl.errors import shown
from initctl.page.charts import depth_charts
from initctl.page.content import Drawing, Fact, Item, ItemList, Page, Section, TensorTable
from initctl.page.drawing import before_and_after
from initctl.page.problems import warnings
from initctl.statistics import measured
from initctl.tensors import TensorPart, Totals
from initctl.threads import processors

if TYPE_CHECKING:
    from initctl.differences import Differences
    from initctl.events import Progress

_NOTE = (
    "Distances are of elements that are finite in both: the largest, the mean, and the L2 norm of B - A divided by "
    "that of A. The cosine is that of the angle between A and B. First is the index of the first element that changed. "
    "Bars above the line show B, bars below it show A, on one axis. They are of samples, up to four standard "
    "deviations from the mean."
)


def differences_page(
    found: Differences, *, threads: int | None = None, on_event: Callable[[Progress], None] | None = None
) -> Page:
    """A row for each tensor that differs, with histograms of both, for which the tensors are read once more; and charts
    of the relative norm of the differences by depth.

    Raises `ConflictError` if a checkpoint changes meanwhile, and `StorageError` if it cannot be read.
    """
    subject = f"{shown(found.a.path)} and {shown(found.b.path)}"
    drawings = _drawings(found, threads or processors(), on_event)
    verdict, *report = found.report(unfold=True)
    return Page("diff", subject, list(_facts(found)), list(_sections(found, report, drawings)), str(verdict))


def _drawings(found: Differences, threads: int, on_event: Callable[[Progress], None] | None) -> Sequence[Drawing | str]:
    """The histograms of both, for each tensor that differs."""
    pairs = [of.pair for of in found.changed]
    sides = (found.a, [pair.one for pair in pairs]), (found.b, [pair.other for pair in pairs])
    held = (measured(table, side, digest=False, threads=threads, on_event=on_event) for table, side in sides)
    return [before_and_after(one.histogram, other.histogram) for one, other in zip(*held, strict=True)]


def _facts(found: Differences) -> Iterator[Fact]:
    one, other = found.tensors.only_one, found.tensors.only_other
    yield Fact("tensors in both", f"{len(found.tensors.pairs):,}")
    yield Fact("size", size_text(Totals.of(TensorPart(pair.one) for pair in found.tensors.pairs).bytes))
    yield from (
        Fact(name, f"{len(of):,}") for name, of in (("differ", found.changed), ("only A", one), ("only B", other))
    )
    if found.not_compared:
        yield Fact("not compared", f"{len(found.not_compared):,}")


def _sections(found: Differences, report: Report, drawings: Sequence[Drawing | str]) -> Iterator[Section]:
    """The tables of the `report`, and its lines about everything else. `drawings` are of the tensors that differ."""
    yield from warnings((*found.a.warnings, *found.b.warnings))
    if lines := [part for part in report if isinstance(part, str) and part]:
        yield ItemList("Notes", [Item("", line) for line in lines])
    norms = ((of.pair.name, of.changes.distance.relative) for of in found.changed if of.changes)
    yield from depth_charts("Relative norm of the difference by depth", norms)
    for listing in report:
        if not isinstance(listing, str):
            is_changed = "rel norm" in listing.heading
            if is_changed:
                yield TensorTable.of("Tensors that differ", listing, _NOTE).with_drawings("A, B", drawings)
            else:
                yield TensorTable.of("Tensors in only one of them", listing)
