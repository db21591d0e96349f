"""Histograms and series as paths of SVG: short, in whole numbers, without a library.

Paths are drawn in boxes of `BARS` by `BAR_HEIGHT` and of `WIDTH` by `HEIGHT` units, from the top left.
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
"""Points of a series that are drawn at most."""


def distribution(histogram: Histogram | None) -> Drawing | str:
    """One histogram over its own range; nothing if there is none."""
    return Drawing(histogram_path(histogram, histogram.low, histogram.high)) if histogram else ""


def before_and_after(before: Histogram | None, after: Histogram | None) -> Drawing | str:
    """Both on one axis."""
    if not before or not after:
        return distribution(after or before)
    low, high = min(before.low, after.low), max(before.high, after.high)
    return Drawing(histogram_path(after, low, high), histogram_path(before, low, high))


def histogram_path(histogram: Histogram, low: float, high: float) -> str:
    """Bars between `low` and `high`, which hold the whole histogram, each as high as it is full beside the fullest."""
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
    """What is in each bar, if the numbers of a bin are spread evenly over it."""
    first, last, low, high = (
        end / 2 for end in (histogram.low, histogram.high, low, high)
    )  # no difference is infinite
    if first == last:
        place = int(BARS * (first - low) / (high - low)) if low < high else BARS // 2
        return np.asarray(np.eye(BARS)[min(place, BARS - 1)])
    edges, own = np.linspace(low, high, BARS + 1), np.linspace(first, last, len(histogram.counts) + 1)
    filled = np.interp(edges, own, [0, *np.cumsum(histogram.counts)])
    return np.asarray(np.diff(filled))


def series_path(values: Sequence[float], largest: float) -> str:
    """A line through `values`, none of them negative, from the left to the right; `largest` is at the top."""
    shown = values[:: -(-len(values) // _DEEPEST)]
    across = WIDTH / max(len(shown) - 1, 1)
    up = HEIGHT / (largest or 1)
    return "M" + "L".join(f"{number * across:.0f} {HEIGHT - value * up:.0f}" for number, value in enumerate(shown))
