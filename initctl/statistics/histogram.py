"""Histograms."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from initctl.display.blocks import blocks

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from initctl.stream.engines.moments import Moments

BINS = 32
_REACH = 4
"""Bins reach at most this many standard deviations from the mean. Numbers farther away are counted separately."""


class Histogram(NamedTuple):
    """The counts of a sample's finite numbers in each of `BINS` bins of equal width from `low` to `high`, and of those
    `below` and `above`. A number on the edge of two bins is in the upper one, and `high` itself is in the last.
    """

    low: float
    high: float
    counts: NDArray[np.uint32]
    below: int = 0
    above: int = 0

    @classmethod
    def merged(cls, parts: Iterable[Histogram | None]) -> Histogram | None:
        """One histogram of all `parts`. Each number counts as the center of its bin."""
        known = [part for part in parts if part]
        if not known:
            return None
        centers, counts = (np.concatenate([getattr(part, name) for part in known]) for name in ("centers", "counts"))
        low, high = min(part.low for part in known), max(part.high for part in known)
        (found,) = _over(centers, np.zeros(len(centers), np.int64), counts, [(low, high)])
        below, above = (sum(getattr(part, side) for part in known) for side in ("below", "above"))
        return found._replace(below=found.below + below, above=found.above + above)

    @property
    def centers(self) -> NDArray[np.floating]:
        """The middle of each bin."""
        share = (np.arange(BINS) + 0.5) / BINS
        return self.low * (1 - share) + self.high * share

    def drawn(self, width: int = BINS // 2) -> str:
        """`width` blocks, a divisor of `BINS`. The height of each is its count, relative to the largest."""
        return blocks(self.counts.reshape(width, -1).sum(1).tolist())

    def to_json(self) -> dict[str, Any]:
        return {
            "low": self.low,
            "high": self.high,
            "counts": self.counts.tolist(),
            "below": self.below,
            "above": self.above,
        }


def histograms(sample: NDArray[Any], sizes: Sequence[int], moments: Sequence[Moments]) -> list[Histogram | None]:
    """A histogram for each of `moments`, of its finite numbers. `sample` has the samples one after another, with
    `sizes`.
    """
    with np.errstate(invalid="ignore"):  # signaling NaN
        numbers = np.asarray(sample, np.float64)
    owner = np.repeat(np.arange(len(sizes)), sizes)
    if any(found.finite < found.numbers for found in moments):
        is_finite = np.isfinite(numbers)
        numbers, owner = numbers[is_finite], owner[is_finite]
    found = _over(numbers, owner, None, list(map(_reach, moments)))
    return [one if of.finite else None for one, of in zip(found, moments, strict=True)]


def _reach(moments: Moments) -> tuple[float, float]:
    """The lower and the upper end of the bins."""
    if not moments.finite:
        return 0.0, 0.0
    reach = _REACH * moments.std or inf  # std is 0 if the squares of tiny doubles underflow
    return max(moments.least, moments.mean - reach), min(moments.greatest, moments.mean + reach)


def _over(
    numbers: NDArray[Any], owner: NDArray[np.int64], counts: NDArray[Any] | None, ends: Sequence[tuple[float, float]]
) -> list[Histogram]:
    """A histogram between each of `ends`. `owner` says for each of `numbers` which histogram counts it, and `counts`
    how often: once if it is None.
    """
    lows, highs = np.array(ends, np.float64).T
    widths = (highs * 0.5 - lows * 0.5) / BINS  # halved, because the difference of two doubles can overflow
    widths[widths == 0] = 1.0
    of = owner if len(ends) > 1 else 0
    places = (numbers * 0.5 - (lows * 0.5)[of]) / widths[of]
    bins = np.minimum(np.maximum(places, 0), BINS - 1).astype(np.int64) + 1
    bins[numbers < lows[of]], bins[numbers > highs[of]] = 0, BINS + 1
    found = np.bincount(owner * (BINS + 2) + bins, counts, len(ends) * (BINS + 2)).astype(np.uint32)
    rows = found.reshape(-1, BINS + 2)
    below, above = rows[:, 0].tolist(), rows[:, -1].tolist()
    return [Histogram(*each) for each in zip(lows.tolist(), highs.tolist(), rows[:, 1:-1], below, above, strict=True)]
