"""How many numbers are where."""

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
"""Standard deviations from the mean to which bins reach at most: what lies farther out is counted beside them."""


class Histogram(NamedTuple):
    """How many of the finite numbers of a sample are in each of `BINS` bins of one width from `low` to `high`, and how
    many are `below` and `above`. A number on the edge of two bins is in the upper one, and `high` itself in the last.
    """

    low: float
    high: float
    counts: NDArray[np.uint32]
    below: int = 0
    above: int = 0

    @classmethod
    def merged(cls, parts: Iterable[Histogram | None]) -> Histogram | None:
        """One of all numbers that `parts` are of, each taken for the center of its bin."""
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
        """`width` blocks, a divisor of `BINS`: each as high as its bins are full, beside the fullest."""
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
    """Of samples of the finite numbers that each of `moments` is of, `sizes` of them one after another in `sample`."""
    with np.errstate(invalid="ignore"):  # NaN that signals
        numbers = np.asarray(sample, np.float64)
    owner = np.repeat(np.arange(len(sizes)), sizes)
    if any(found.finite < found.numbers for found in moments):
        is_finite = np.isfinite(numbers)
        numbers, owner = numbers[is_finite], owner[is_finite]
    found = _over(numbers, owner, None, list(map(_reach, moments)))
    return [one if of.finite else None for one, of in zip(found, moments, strict=True)]


def _reach(moments: Moments) -> tuple[float, float]:
    """From where to where bins reach."""
    if not moments.finite:
        return 0.0, 0.0
    reach = _REACH * moments.std or inf  # of the smallest doubles, the squares are 0
    return max(moments.least, moments.mean - reach), min(moments.greatest, moments.mean + reach)


def _over(
    numbers: NDArray[Any], owner: NDArray[np.int64], counts: NDArray[Any] | None, ends: Sequence[tuple[float, float]]
) -> list[Histogram]:
    """A histogram between each of `ends`, of the `numbers` whose `owner` it is. Each counts as often as `counts` says,
    or once.
    """
    lows, highs = np.array(ends, np.float64).T
    widths = (highs * 0.5 - lows * 0.5) / BINS  # halves: the largest doubles are farther apart than any double
    widths[widths == 0] = 1.0
    of = owner if len(ends) > 1 else 0
    places = (numbers * 0.5 - (lows * 0.5)[of]) / widths[of]
    bins = np.minimum(np.maximum(places, 0), BINS - 1).astype(np.int64) + 1
    bins[numbers < lows[of]], bins[numbers > highs[of]] = 0, BINS + 1
    found = np.bincount(owner * (BINS + 2) + bins, counts, len(ends) * (BINS + 2)).astype(np.uint32)
    rows = found.reshape(-1, BINS + 2)
    below, above = rows[:, 0].tolist(), rows[:, -1].tolist()
    return [Histogram(*each) for each in zip(lows.tolist(), highs.tolist(), rows[:, 1:-1], below, above, strict=True)]
