"""How well values fit a law."""

from __future__ import annotations

import numpy as np
from scipy import special, stats


def p_value(values, cdf) -> float:
    """Of the Kolmogorov-Smirnov test of `values` against a distribution function."""
    return float(stats.kstest(np.asarray(values, np.float64).reshape(-1), cdf).pvalue)


def p_value_of_two(values, others) -> float:
    """Of the Kolmogorov-Smirnov test that two samples have one law."""
    first, second = (np.asarray(sample, np.float64).reshape(-1) for sample in (values, others))
    return float(stats.ks_2samp(first, second, method="asymp").pvalue)


def uniform_cdf(a: float, b: float):
    return lambda x: np.clip((x - a) / (b - a), 0, 1)


def normal_cdf(mean: float, std: float):
    return lambda x: special.ndtr((x - mean) / std)


def truncated_cdf(mean: float, std: float, a: float, b: float):
    """The distribution function of a normal variable given a ≤ x ≤ b, computed in the tail that is smaller."""
    sign = -1 if a > mean else 1
    low, high = special.ndtr(sign * (a - mean) / std), special.ndtr(sign * (b - mean) / std)
    return lambda x: np.clip((special.ndtr(sign * (x - mean) / std) - low) / (high - low), 0, 1)
