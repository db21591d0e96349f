"""Six quick tests of 32-bit words."""

from __future__ import annotations

from math import comb

import numpy as np

from tests.randomness.finding import Finding, by_deviation, by_events, by_frequencies

LAGS = *range(1, 17), 64, 1024
_BIRTHDAYS = 4096
"""Words of one year of 2^32 days: two spacings in `_EQUAL_SPACINGS` of such samples are equal."""
_EQUAL_SPACINGS = _BIRTHDAYS**3 / 2**34
_RANKS = {32: 0.288788095, 31: 0.577576190, 30: 0.128350265}
"""Probabilities of the ranks of random 32 × 32 matrices of bits; the rest is smaller."""


def findings(of: str, words) -> list[Finding]:
    """All six on `words`, a multiple of 4096."""
    return [
        *bytes_(of, words),
        pairs(of, words),
        weights(of, words),
        *lags(of, words),
        spacings(of, words),
        ranks(of, words),
    ]


def bytes_(of: str, words) -> list[Finding]:
    """How often each byte is each number."""
    columns = words.view(np.uint8).reshape(-1, 4).T
    return [_even(f"byte {place}", of, column, 256) for place, column in enumerate(columns)]


def pairs(of: str, words) -> Finding:
    """How often the high bytes of two neighbors are each pair."""
    high = (words >> 24).astype(np.uint16)
    return _even("pairs of bytes", of, high[::2] << 8 | high[1::2], 1 << 16)


def _even(test: str, of: str, numbers, kinds: int) -> Finding:
    return by_frequencies(test, of, np.bincount(numbers, minlength=kinds), numbers.size / kinds)


def weights(of: str, words) -> Finding:
    """How many words have each number of ones; less than 6 or more than 26 are counted together."""
    found = np.bincount(np.clip(np.bitwise_count(words), 5, 27), minlength=28)[5:]
    probable = np.array([comb(32, ones) for ones in range(33)]) / 2**32
    expected = np.concatenate([[probable[:6].sum()], probable[6:27], [probable[27:].sum()]])
    return by_frequencies("ones in a word", of, found, expected * words.size)


def lags(of: str, words) -> list[Finding]:
    """How many bits a word shares with the one some words later."""
    return [_shared(of, words, lag) for lag in LAGS]


def _shared(of: str, words, lag: int) -> Finding:
    other = np.bitwise_count(words[lag:] ^ words[:-lag])
    bits = other.size * 32
    return by_deviation(
        f"bits unlike those {lag} later", of, bits, int(other.sum(dtype=np.int64)), bits / 2, bits**0.5 / 2
    )


def spacings(of: str, words) -> Finding:
    """Marsaglia's birthday spacings: how many distances between sorted words occur again."""
    days = np.sort(words.reshape(-1, _BIRTHDAYS), axis=1)
    distances = np.sort(np.diff(days, axis=1), axis=1)
    equal = int((distances[:, 1:] == distances[:, :-1]).sum())
    return by_events("birthday spacings", of, words.size, equal, len(days) * _EQUAL_SPACINGS)


def ranks(of: str, words) -> Finding:
    """The ranks of 32 × 32 matrices of bits."""
    rows = words.reshape(-1, 32).T.copy()
    rank = np.zeros(rows.shape[1], np.int64)
    for bit in range(32):
        ones = (rows >> np.uint32(bit) & 1).astype(bool)
        first = np.argmax(ones, axis=0)
        pivot = np.where(ones.any(axis=0), np.take_along_axis(rows, first[np.newaxis], 0)[0], 0)
        rank += pivot != 0
        rows ^= np.where(ones, pivot, np.uint32(0))
    found = np.array([(rank == of_rank).sum() for of_rank in _RANKS])
    expected = np.array([*_RANKS.values()])
    found, expected = np.append(found, rank.size - found.sum()), np.append(expected, 1 - expected.sum())
    return by_frequencies("ranks of matrices", of, found, expected * rank.size)
