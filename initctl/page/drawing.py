"""Histograms and series as short paths of SVG, in whole numbers.

Their boxes have `BARS` by `BAR_HEIGHT` and `WIDTH` by `HEIGHT` units. The origin is at the top left.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np

from initctl.page.content import Drawing

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from initctl.statistics.histogram import Histogram

BARS, BAR_HEIGHT = 16, 16
WIDTH, HEIGHT = 160, 40
_DEEPEST = 64
"""The largest number of points that are drawn of a series."""


def distribution(histogram: Histogram | None) -> Drawing | str:
    """One histogram over its own range; an empty text if it is None."""
    return Drawing(histogram_path(histogram, histogram.low, histogram.high)) if histogram else ""


def before_and_after(before: Histogram | None, after: Histogram | None) -> Drawing | str:
    """Both histograms on one axis."""
    if not before or not after:
        return distribution(after or before)
    low, high = min(before.low, after.low), max(before.high, after.high)
    return Drawing(histogram_path(after, low, high), histogram_path(before, low, high))


def histogram_path(histogram: Histogram, low: float, high: float) -> str:
    """Bars between `low` and `high`, which contain the whole histogram. Heights are relative to the highest bar."""
    shares = _shares(histogram, low, high)
    heights = np.ceil(shares / (shares.max() or 1) * BAR_HEIGHT).astype(int).tolist()
    path, level = [f"M0 {BAR_HEIGHT}"], 0
    for height, bars in groupby([*heights, 0]):
        width = len(list(bars))
        path.append(f"v{level - height}" if height != level else "")
        path.append(f"h{width}" if height else f"m{width} 0")
        level = height
    return "".join(path[:-1])


def _shares(histogram: Histogram, low: float, high: float) -> NDArray[np.float64]:
    """The count of each bar. Numbers in a bin are taken as evenly spread over it."""
    first, last, low, high = (
        end / 2 for end in (histogram.low, histogram.high, low, high)
    )  # halved, because the difference of two doubles can overflow
    if first == last:
        place = int(BARS * (first - low) / (high - low)) if low < high else BARS // 2
        return np.asarray(np.eye(BARS)[min(place, BARS - 1)])
    edges, own = np.linspace(low, high, BARS + 1), np.linspace(first, last, len(histogram.counts) + 1)
    filled = np.interp(edges, own, [0, *np.cumsum(histogram.counts)])
    return np.asarray(np.diff(filled))


def series_path(values: Sequence[float], largest: float) -> str:
    """A line through `values`, which are not negative, from left to right. `largest` is at the top."""
    shown = values[:: -(-len(values) // _DEEPEST)]
    across = WIDTH / max(len(shown) - 1, 1)
    up = HEIGHT / (largest or 1)
    return "M" + "L".join(f"{number * across:.0f} {HEIGHT - value * up:.0f}" for number, value in enumerate(shown))
