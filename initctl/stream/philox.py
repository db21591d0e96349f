"""Philox4x32-10: a block cipher on counters, used as a random function of the element's index.

Salmon, Moraes, Dror, Shaw: "Parallel random numbers: as easy as 1, 2, 3", SC 2011; checked against the known
answers of its reference implementation, Random123.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from initctl.stream.key import Key

LANES = 4
"""Words in a block: element i is lane i mod 4 of block i div 4."""

ROUNDS = 10
MULTIPLIERS = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
WEYL = 0x9E3779B9, 0xBB67AE85
"""Added to the key after each round: the fractions of the golden ratio and of the square root of 3."""

_HALF = np.uint64(32)
_MASK = 0xFFFFFFFF


def philox(key: Key, counter: tuple[NDArray[np.uint32], ...]) -> tuple[NDArray[np.uint32], ...]:
    """Encrypt counters: four arrays of equal shape in, four words for each counter out."""
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(ROUNDS):
        product0 = c0.astype(np.uint64) * MULTIPLIERS[0]
        product1 = c2.astype(np.uint64) * MULTIPLIERS[1]
        c0 = (product1 >> _HALF).astype(np.uint32) ^ c1 ^ np.uint32(k0)
        c2 = (product0 >> _HALF).astype(np.uint32) ^ c3 ^ np.uint32(k1)
        c1 = product1.astype(np.uint32)
        c3 = product0.astype(np.uint32)
        k0 = (k0 + WEYL[0]) & _MASK
        k1 = (k1 + WEYL[1]) & _MASK
    return c0, c1, c2, c3


def block_words(key: Key, first: int, last: int, stream: int) -> NDArray[np.uint32]:
    """The words of blocks `first` to `last - 1`, four a block, in order of element index."""
    lanes = _lanes(key, np.uint64(first) + np.arange(last - first, dtype=np.uint64), stream)
    words = np.empty((last - first, LANES), np.uint32)
    for lane, lane_words in enumerate(lanes):
        words[:, lane] = lane_words
    return words.reshape(-1)


def words_at(key: Key, index: NDArray[np.uint64], stream: int) -> NDArray[np.uint32]:
    """The words of the elements at `index`, an array of any shape."""
    lanes = _lanes(key, index // np.uint64(LANES), stream)
    return np.choose((index % np.uint64(LANES)).astype(np.intp), lanes)


def _lanes(key: Key, block: NDArray[np.uint64], stream: int) -> tuple[NDArray[np.uint32], ...]:
    """The four words of each block."""
    low = block.astype(np.uint32)
    return philox(key, (low, (block >> _HALF).astype(np.uint32), np.zeros_like(low), np.full_like(low, stream)))
