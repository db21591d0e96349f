"""One result of a test of randomness."""

from __future__ import annotations

from typing import NamedTuple

from scipy import stats

WEAK, FAILED = 1e-3, 1e-10
"""TestU01's limits: in a thousand sound results, two are expected to be weak, and none fails by chance."""

HEADING = "| test | of | numbers | result | p | |\n|---|---|---|---|---|---|"


class Finding(NamedTuple):
    """What `test` found in `numbers` numbers of the stream `of`.

    `p` is the probability that a sound stream gives a larger statistic: near 0 and near 1 it is suspicious.
    """

    test: str
    of: str
    numbers: int
    result: str
    p: float

    @property
    def verdict(self) -> str:
        """Empty, `weak` or `fails`."""
        nearest = min(self.p, 1 - self.p)
        return "fails" if nearest < FAILED else "weak" if nearest < WEAK else ""

    @property
    def row(self) -> str:
        return f"| {self.test} | {self.of} | {self.numbers:,} | {self.result} | {self.p:.3g} | {self.verdict} |"


def by_deviation(test: str, of: str, numbers: int, found: float, expected: float, deviation: float) -> Finding:
    """Of a number that is normally distributed, `deviation` around `expected`."""
    z = (found - expected) / deviation
    return Finding(test, of, numbers, f"{found:.9g} (z = {z:+.2f})", float(stats.norm.sf(z)))


def by_frequencies(test: str, of: str, found, expected) -> Finding:
    """Pearson's test of the frequencies `found`, which the law gives as `expected`."""
    statistic = float(((found - expected) ** 2 / expected).sum())
    free = len(found) - 1
    return Finding(test, of, int(found.sum()), f"chi² {statistic:.1f} / {free}", float(stats.chi2.sf(statistic, free)))


def by_events(test: str, of: str, numbers: int, found: int, expected: float) -> Finding:
    """Of rare events, by Poisson's law; p is taken in the middle of the events' own probability."""
    p = float(stats.poisson.sf(found, expected) + stats.poisson.pmf(found, expected) / 2)
    return Finding(test, of, numbers, f"{found:,} of {expected:,.1f}", p)
