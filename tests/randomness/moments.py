"""Values of the laws against what they must be: moments, tails, frequencies and the distribution function.

A law's values are counted in cells of equal width, and their powers are added: in float64 by NumPy's pairwise sums, in
pieces, and the pieces by `math.fsum`. So rounding changes no figure that is shown. Moments are taken around the law's
mean, in its standard deviation.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cache
from typing import NamedTuple

import numpy as np
from scipy import stats

from initctl.dtypes import BY_NAME
from initctl.stream import Normal, TruncNormal, Uniform
from initctl.stream.engines.engine import LawRun
from initctl.stream.key import stream_key
from tests.randomness.finding import Finding, by_deviation, by_events, by_frequencies
from tests.randomness.streams import engine

AT_ONCE = 1 << 17
"""Values computed at a time: they stay in the processor's cache."""
TAILS = 3, 4, 5, 6
_NAMES = "mean", "variance", "skewness", "kurtosis"
_RARE = 30
"""Cells with fewer expected values are joined to their neighbor."""


class Expected(NamedTuple):
    """A law, the distribution that its values have, and the cells in which they are counted."""

    law: object
    distribution: object
    low: float
    high: float
    cells: int

    @property
    def edges(self):
        return np.linspace(self.low, self.high, self.cells + 1)


LAWS = {
    "uniform": Expected(Uniform(0, 1), stats.uniform(-(2**-25), 1), 0, 1, 1 << 16),
    "normal": Expected(Normal(0, 1), stats.norm, -7, 7, 14 << 6),
    "trunc_normal": Expected(TruncNormal(0, 1, -2, 2), stats.truncnorm(-2, 2), -2, 2, 4 << 8),
}
"""A value of `uniform` is the lower end of one of 2^24 equal steps, which moves the mean by half a step."""


@dataclass
class Tally:
    """What was counted of a law's values."""

    expected: Expected
    numbers: int = 0
    powers: list[list[float]] = field(default_factory=lambda: [[], [], [], []])
    cells: np.ndarray = field(init=False)
    beyond: dict[int, int] = field(default_factory=lambda: dict.fromkeys(TAILS, 0))

    def __post_init__(self):
        self.cells = np.zeros(self.expected.cells + 1, np.int64)
        self.mean, self.std = (float(of()) for of in (self.expected.distribution.mean, self.expected.distribution.std))

    def add(self, values) -> None:
        _, _, low, high, cells = self.expected
        self.numbers += values.size
        centred = values.astype(np.float64)
        centred -= self.mean
        square = centred * centred
        for sums, of in zip(self.powers, (centred.sum(), square.sum(), square @ centred, square @ square), strict=True):
            sums.append(float(of))
        place = ((values - np.float32(low)) * np.float32(cells / (high - low))).astype(np.intp)
        self.cells += np.bincount(place, minlength=cells + 1)
        if high > TAILS[0]:
            far = np.abs(values)
            far = far[far > TAILS[0]]
            for beyond in TAILS:
                self.beyond[beyond] += int((far > beyond).sum())


def tally(name: str, numbers: int, seed: int = 0) -> Tally:
    """The first `numbers` values of a law, in one tensor."""
    counted, key = Tally(LAWS[name]), stream_key(seed, f"{name}.weight")
    for start in range(0, numbers, AT_ONCE):
        values = np.empty(min(AT_ONCE, numbers - start), np.float32)
        engine().fill(
            [LawRun(LAWS[name].law, key, start, start + values.size, BY_NAME["float32"])], values.view(np.uint8)
        )
        counted.add(values)
    return counted


def findings(name: str, numbers: int) -> list[Finding]:
    """All results for the law `name`."""
    counted = tally(name, numbers)
    found = [*moments(name, counted), frequencies(name, counted), distance(name, counted)]
    return [*found, *tails(name, counted)] if name == "normal" else found


def moments(name: str, counted: Tally) -> list[Finding]:
    """The first four, each of which is the mean of independent numbers."""
    standard = (counted.expected.distribution, counted.mean, counted.std)
    return [
        by_deviation(
            _NAMES[order - 1],
            name,
            counted.numbers,
            math.fsum(counted.powers[order - 1]) / counted.numbers / counted.std**order,
            _moment(*standard, order),
            math.sqrt((_moment(*standard, 2 * order) - _moment(*standard, order) ** 2) / counted.numbers),
        )
        for order in range(1, 5)
    ]


def _moment(distribution, mean: float, std: float, order: int) -> float:
    """The mean of ((x - mean) / std)^order."""
    return sum(
        math.comb(order, power) * float(distribution.moment(power)) * (-mean) ** (order - power) / std**order
        for power in range(order + 1)
    )


def frequencies(name: str, counted: Tally) -> Finding:
    """How many values are in each cell."""
    expected = np.diff(_cdf(counted)) * counted.numbers
    first, last = (expected >= _RARE).nonzero()[0][[0, -1]]
    starts = np.r_[0, first + 1 : last + 1]
    found = (np.add.reduceat(of, starts) for of in (_in_cells(counted), expected))
    return by_frequencies("frequencies", name, *found)


def distance(name: str, counted: Tally) -> Finding:
    """Kolmogorov's: the largest difference of the distribution functions, at the ends of cells."""
    largest = float(np.abs(np.cumsum(_in_cells(counted)) / counted.numbers - _cdf(counted)[1:]).max())
    p = float(stats.kstwobign.sf(largest * math.sqrt(counted.numbers)))
    return Finding("Kolmogorov-Smirnov", name, counted.numbers, f"D {largest:.3g}", p)


def _in_cells(counted: Tally):
    """The last cell has the value at its end, too."""
    return np.append(counted.cells[:-2], counted.cells[-2:].sum())


def _cdf(counted: Tally):
    return counted.expected.distribution.cdf(counted.expected.edges)


def tails(name: str, counted: Tally) -> list[Finding]:
    """How many values are further than some standard deviations from the mean."""
    return [
        by_events(f"beyond {sigma} std", name, counted.numbers, found, counted.numbers * tail_probability(sigma))
        for sigma, found in counted.beyond.items()
    ]


@cache
def tail_probability(sigma: float) -> float:
    """The exact probability that a number of the stream is beyond `sigma`, given that it has 2^32 radii."""
    last = int(2**32 * math.exp(-(sigma**2) / 2)) + 1
    total = 0.0
    for start in range(0, last, 1 << 20):
        u = ((np.arange(start, min(start + (1 << 20), last)) + 0.5) / 2**32).astype(np.float32).astype(np.float64)
        radius = np.sqrt(-2 * np.log(u))
        total += float(np.arccos(np.minimum(sigma / radius, 1)).sum()) * 2 / math.pi / 2**32
    return total
