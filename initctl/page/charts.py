"""Charts of numbers by depth."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from math import isfinite

from initctl.display.folding import by_depth
from initctl.page.content import Chart, Charts
from initctl.page.drawing import series_path
from initctl.statistics.result import number

_NOTE = "From the first layer to the last, and from 0 to the largest value. Series of zeros have no chart."
_BEFORE = " The dashed line shows the values before."


def depth_charts(
    title: str, values: Iterable[tuple[str, float]], before: Mapping[str, float] | None = None
) -> Iterator[Charts]:
    """Charts of `values`, which are not negative, for tensors whose names differ only in layer numbers; also of the
    values `before`, by name. Yields nothing if there is nothing to draw.
    """
    groups = by_depth((name, (value, before[name] if before else 0.0)) for name, value in values)
    charts = [_chart(names.shown(), *zip(*layers, strict=True), is_pair=before is not None) for names, layers in groups]
    if drawn := [chart for chart in charts if chart]:
        yield Charts(title, drawn, _NOTE + _BEFORE if before else _NOTE)


def _chart(name: str, values: Sequence[float], before: Sequence[float], *, is_pair: bool) -> Chart | None:
    largest = max((*values, *before))
    if not largest or not all(map(isfinite, (*values, *before))):
        return None
    if not is_pair:
        return Chart(name, f"{_ends(values)}; largest {number(largest)}", series_path(values, largest))
    caption = f"{_ends(before)} before, {_ends(values)} after"
    return Chart(name, caption, series_path(values, largest), series_path(before, largest))


def _ends(values: Sequence[float]) -> str:
    return f"{number(values[0])} to {number(values[-1])}"
