"""How what tensors hold changes with depth, as charts."""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING

from initctl.page.content import Chart, Charts
from initctl.page.drawing import series_path
from initctl.statistics.layers import layers
from initctl.statistics.result import number

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from initctl.statistics import TensorStatistics

_NOTE = "From the first layer to the last, each from 0 to its largest value. Constant tensors have no chart."
_BEFORE = " The dashed line shows what was there before."


def depth_charts(tensors: Sequence[TensorStatistics], before: Sequence[TensorStatistics] = ()) -> Iterator[Charts]:
    """A chart of the standard deviation for all tensors that only layer numbers tell apart, unless it is always 0; with
    what each of them was `before`, if that is known.
    """
    earlier = {found.tensor.name: found.moments.std for found in before}
    groups = [(group.names.shown(), group.tensors) for group in layers(tensors)]
    charts = [
        _chart(name, [of.moments.std for of in group], [earlier.get(of.tensor.name, 0) for of in group if before])
        for name, group in groups
    ]
    if drawn := [chart for chart in charts if chart]:
        yield Charts("Standard deviation by depth", drawn, _NOTE + _BEFORE if before else _NOTE)


def _chart(name: str, values: Sequence[float], before: Sequence[float]) -> Chart | None:
    largest = max((*values, *before))
    if not largest or not all(map(isfinite, (*values, *before))):
        return None
    if not before:
        return Chart(name, f"{_ends(values)}; largest {number(largest)}", series_path(values, largest))
    caption = f"{_ends(before)} before, {_ends(values)} after"
    return Chart(name, caption, series_path(values, largest), series_path(before, largest))


def _ends(values: Sequence[float]) -> str:
    return f"{number(values[0])} to {number(values[-1])}"
