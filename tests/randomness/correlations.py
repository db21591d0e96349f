"""Correlations of normal numbers between tensors, seeds, streams and elements: of the values, and of their ranks.

Between independent samples of n numbers, a correlation has mean 0 and variance 1/(n - 1), and those of different pairs
are uncorrelated. So the squares of all pairs, times n - 1, follow chi² with as many degrees of freedom as there are
pairs, and the largest is beyond a bound with the probability of Sidak's formula.
"""

from __future__ import annotations

import math

import numpy as np
from scipy import special, stats

from initctl.stream.key import stream_key
from initctl.stream.philox import words_of
from tests.randomness.finding import Finding
from tests.randomness.streams import draws

_AT_ONCE = 1 << 20
ELEMENTS = 16
"""First elements of many tensors that are compared."""
LAGS = 64


def findings(tensors: int, elements: int) -> list[Finding]:
    """Correlations of `tensors` samples of `elements` numbers each, and between elements of as many tensors."""
    samples = {
        "names layers.N.w": (draws(0, f"layers.{layer}.w") for layer in range(tensors)),
        "seeds N of fc.weight": (draws(seed, "fc.weight") for seed in range(tensors)),
    }
    found = []
    for of, each in samples.items():
        values = np.stack([one.normal01(0, elements) for one in each])
        found += [*between(of, "values", values), *between(of, "ranks", ranked(values))]
    found += between("streams 0 and 1 of names", "values", _both_streams(tensors // 2, elements))
    found += between("element N of names layers.*.w", "values", _first_elements(elements * 4))
    return [*found, within("neighbors in a tensor", draws(0, "w"), tensors * elements)]


def between(of: str, what: str, samples) -> list[Finding]:
    """The correlations of all pairs of rows."""
    count, numbers = samples.shape
    centred = samples - samples.mean(axis=1, dtype=np.float64, keepdims=True).astype(np.float32)
    products = np.zeros((count, count))
    for start in range(0, numbers, _AT_ONCE // 4):  # float32 adds few enough at a time
        some = centred[:, start : start + _AT_ONCE // 4]
        products += some @ some.T
    scale = np.sqrt(np.diag(products))
    return _of_pairs(of, what, (products / scale / scale[:, np.newaxis])[np.triu_indices(count, 1)], numbers)


def _of_pairs(of: str, what: str, pairs, numbers: int) -> list[Finding]:
    free, largest = pairs.size, float(np.abs(pairs).max())
    beyond = 2 * stats.norm.sf(largest * math.sqrt(numbers - 1))
    any_beyond = -math.expm1(free * math.log1p(-beyond))
    squares = float((pairs**2).sum() * (numbers - 1))
    together = float(stats.chi2.sf(squares, free))
    return [
        Finding(f"largest |r| of {what}", of, numbers, f"{largest:.3g} of {free:,} pairs", any_beyond),
        Finding(f"all r of {what}", of, numbers, f"chi² {squares:,.1f} / {free:,}", together),
    ]


def ranked(samples):
    """The rank of each number in its row, from -1 to 1."""
    ranks = np.empty(samples.shape, np.float32)
    even = np.linspace(-1, 1, samples.shape[1], dtype=np.float32)
    for row, sample in zip(ranks, samples, strict=True):
        row[np.argsort(sample, kind="stable")] = even
    return ranks


def _both_streams(tensors: int, elements: int):
    each = [draws(0, f"layers.{layer}.w") for layer in range(tensors)]
    return np.stack([of.normal01(0, elements, stream=stream) for of in each for stream in (0, 1)])


def _first_elements(tensors: int):
    """Row i has element i of every tensor, as the normal number that has its word's probability."""
    keys = np.array([stream_key(0, f"layers.{layer}.w") for layer in range(tensors)], np.uint64)
    blocks = ELEMENTS // 4
    key0, key1 = (np.repeat(part, blocks) for part in keys.T)
    words = words_of(key0, key1, np.tile(np.arange(blocks, dtype=np.uint64), tensors), 0)
    return special.ndtri((words.reshape(tensors, ELEMENTS).T + 0.5) / 2**32).astype(np.float32)


def within(of: str, tensor, numbers: int) -> Finding:
    """The correlations of a tensor's numbers with those up to 64 elements later."""
    products = np.zeros(LAGS)
    for start in range(0, numbers, _AT_ONCE):
        values = tensor.normal01(start, start + _AT_ONCE + LAGS).astype(np.float64)
        products += [values[:_AT_ONCE] @ values[lag : lag + _AT_ONCE] for lag in range(1, LAGS + 1)]
    statistic = float((products**2).sum() / numbers)
    return Finding(
        "r with 64 lags", of, numbers, f"chi² {statistic:.1f} / {LAGS}", float(stats.chi2.sf(statistic, LAGS))
    )
