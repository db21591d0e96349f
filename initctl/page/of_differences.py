"""The page of the differences between two checkpoints."""

from __future__ import annotations

from typing import TYPE_CHECKING

from initctl.display.tables import size_text
from initctl.errors import shown
from initctl.page.charts import depth_charts
from initctl.page.content import Fact, Item, ItemList, Page, TensorTable
from initctl.page.problems import warnings
from initctl.tensors import TensorPart, Totals

if TYPE_CHECKING:
    from collections.abc import Iterator

    from initctl.differences import Differences
    from initctl.display.tables import Report
    from initctl.page.content import Section

_NOTE = (
    "Distances are those of elements that are finite in both: the largest, the mean, and the L2 norm of B - A divided "
    "by that of A. The cosine is of the angle between A and B. First is the index of the first element that changed."
)


def differences_page(found: Differences) -> Page:
    """A row for each tensor that differs, and how the relative norm of the differences changes with depth."""
    subject = f"{shown(found.a.path)} and {shown(found.b.path)}"
    verdict, *report = found.report(unfold=True)
    return Page("diff", subject, list(_facts(found)), list(_sections(found, report)), str(verdict))


def _facts(found: Differences) -> Iterator[Fact]:
    one, other = found.tensors.only_one, found.tensors.only_other
    yield Fact("tensors in both", f"{len(found.tensors.pairs):,}")
    yield Fact("size", size_text(Totals.of(TensorPart(pair.one) for pair in found.tensors.pairs).bytes))
    yield from (
        Fact(name, f"{len(of):,}") for name, of in (("differ", found.changed), ("only A", one), ("only B", other))
    )
    if found.not_compared:
        yield Fact("not compared", f"{len(found.not_compared):,}")


def _sections(found: Differences, report: Report) -> Iterator[Section]:
    """As the `report` lists it: tables, and lines about all that is not in them."""
    yield from warnings((*found.a.warnings, *found.b.warnings))
    if lines := [part for part in report if isinstance(part, str) and part]:
        yield ItemList("Beside the numbers", [Item("", line) for line in lines])
    norms = ((of.pair.name, of.changes.distance.relative) for of in found.changed if of.changes)
    yield from depth_charts("Relative norm of the difference by depth", norms)
    for listing in report:
        if not isinstance(listing, str):
            is_changed = "rel norm" in listing.heading
            title, note = ("Tensors that differ", _NOTE) if is_changed else ("Tensors that only one has", "")
            yield TensorTable.of(title, listing, note)
