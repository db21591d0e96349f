"""The page of statistics."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from initctl.display.tables import shape_text, size_text
from initctl.errors import shown
from initctl.page.charts import depth_charts
from initctl.page.content import Column, Drawing, Fact, Page, Section, TensorTable
from initctl.page.drawing import distribution
from initctl.page.problems import warnings
from initctl.statistics.result import besides, number

if TYPE_CHECKING:
    from initctl.statistics import Statistics, TensorStatistics

_COLUMNS = (
    Column("tensor", "name"),
    Column("distribution", "drawing"),
    Column("mean", "number"),
    Column("std", "number"),
    Column("min", "number"),
    Column("max", "number"),
    Column("norm", "number"),
    Column("shape"),
    Column("dtype"),
    Column("remarks", "prose"),
    Column("SHA-256"),
)
_NOTE = (
    "A distribution is that of a sample, up to four standard deviations from the mean. Mean, std, min, max and norm "
    "are of the finite numbers. Std has ddof 0; norm is the L2 norm."
)


def statistics_page(found: Statistics) -> Page:
    """One row for each tensor, with its distribution; and charts of the standard deviation by depth."""
    table = TensorTable("Tensors", _COLUMNS, list(map(_row, found.tensors)), _NOTE).dense()
    checkpoint = found.checkpoint
    spread = ((of.tensor.name, of.moments.std) for of in found.tensors if of.moments.finite)
    depth = depth_charts("Standard deviation by depth", spread)
    sections: list[Section] = [*warnings(checkpoint.warnings), *depth, table]
    return Page("stats", shown(checkpoint.path), list(_facts(found)), sections)


def _facts(found: Statistics) -> Iterator[Fact]:
    tensors, moments = [of.tensor for of in found.tensors], [of.moments for of in found.tensors]
    yield Fact("format", found.checkpoint.format)
    yield Fact("tensors", f"{len(tensors):,}")
    yield Fact("elements", f"{sum(tensor.numel for tensor in tensors):,}")
    yield Fact("size", size_text(sum(tensor.nbytes for tensor in tensors)))
    yield Fact("NaN", f"{sum(of.nan for of in moments):,}")
    yield Fact("infinite", f"{sum(of.infinite for of in moments):,}")
    if unread := sum(of.unreadable is not None for of in found.tensors):
        yield Fact("not measured", f"{unread:,}")


def _row(of: TensorStatistics) -> Sequence[str | Drawing]:
    tensor, moments, histogram = of.tensor, of.moments, of.histogram
    kind = shape_text(tensor.shape), tensor.dtype.name
    if of.unreadable or not histogram:
        return shown(tensor.name), *([""] * 6), *kind, of.unreadable or besides(moments), of.digest or ""
    numbers = moments.mean, moments.std, moments.least, moments.greatest, moments.l2
    return shown(tensor.name), distribution(histogram), *map(number, numbers), *kind, besides(moments), of.digest or ""
