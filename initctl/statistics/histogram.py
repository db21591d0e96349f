"""How many numbers are where."""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from initctl.display.blocks import blocks

if TYPE_CHECKING:
    from collections.abc import Iterable

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
    def of(cls, sample: NDArray[Any], moments: Moments) -> Histogram | None:
        """Of the finite numbers of `sample`, a part of those that `moments` are of; None if there are none."""
        if not moments.finite:
            return None
        low = max(moments.least, moments.mean - _REACH * moments.std)
        high = min(moments.greatest, moments.mean + _REACH * moments.std)
        with np.errstate(invalid="ignore"):  # NaN that signals
            numbers = np.asarray(sample, np.float64)
        if moments.finite < moments.numbers:
            numbers = numbers[np.isfinite(numbers)]
        return cls._over(numbers, np.ones(len(numbers)), low, high)

    @classmethod
    def merged(cls, parts: Iterable[Histogram], moments: Moments) -> Histogram | None:
        """Of what `parts` are of, together: each of their bins counts as a whole, at its center."""
        known = list(parts)
        if not known or not moments.finite:
            return None
        low, high = min(part.low for part in known), max(part.high for part in known)
        centers = np.concatenate([part.centers for part in known])
        counts = np.concatenate([part.counts for part in known])
        found = cls._over(centers, counts, low, high)
        below, above = (sum(getattr(part, side) for part in known) for side in ("below", "above"))
        return found._replace(below=found.below + below, above=found.above + above)

    @classmethod
    def _over(cls, numbers: NDArray[Any], counts: NDArray[Any], low: float, high: float) -> Histogram:
        """Of each of `numbers` as many as `counts` says."""
        within = (numbers >= low) & (numbers <= high)
        scale = 1 if isfinite(high - low) else 0.25  # doubles that are farther apart than any double
        width = (high * scale - low * scale) / BINS or 1.0
        places = np.minimum((numbers[within] * scale - low * scale) / width, BINS - 1).astype(np.int64)
        found = np.bincount(places, counts[within], BINS).astype(np.uint32)
        return cls(low, high, found, int(counts[numbers < low].sum()), int(counts[numbers > high].sum()))

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
