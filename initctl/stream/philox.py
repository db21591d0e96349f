"""Philox4x32-10: a block cipher on counters, used as a random function of the element's index.

Salmon, Moraes, Dror, Shaw: "Parallel random numbers: as easy as 1, 2, 3", SC 2011. Tests check it against the known
answers of its reference implementation, Random123.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from initctl.stream.key import Key

    Word = Any
    """Unsigned integers of 64 bits: in NumPy, and as in `elementary`, in torch and in compiled loops."""
    Block = tuple[Word, Word, Word, Word]

LANES = 4
"""Words in a block: element i is lane i mod 4 of block i div 4."""

ROUNDS = 10
MULTIPLIERS = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
WEYL = np.uint64(0x9E3779B9), np.uint64(0xBB67AE85)
"""Added to the key after each round: the fractions of the golden ratio and of the square root of 3."""

ZERO, HALF, WORD = np.uint64(0), np.uint64(32), np.uint64(0xFFFFFFFF)


def philox(key0: Word, key1: Word, counter: Block) -> Block:
    """Encrypt a counter: four words in, four words out, each in the low half of a 64-bit number.

    The upper halves of inputs are ignored; those of outputs are not 0.
    """
    c0, c1, c2, c3 = counter
    for _ in range(ROUNDS):
        product0, product1 = (c0 & WORD) * MULTIPLIERS[0], (c2 & WORD) * MULTIPLIERS[1]
        c0, c1 = (product1 >> HALF) ^ c1 ^ key0, product1
        c2, c3 = (product0 >> HALF) ^ c3 ^ key1, product0
        key0, key1 = key0 + WEYL[0], key1 + WEYL[1]
    return c0, c1, c2, c3


def lanes(key0: Word, key1: Word, block: Word, stream: Word) -> Block:
    """The four words of block number `block`, in the form that `philox` returns."""
    return philox(key0, key1, (block, block >> HALF, ZERO, stream))


def block_words(key: Key, first: int, last: int, stream: int) -> NDArray[np.uint32]:
    """The words of blocks `first` to `last - 1`, four for each, in order of element index."""
    return words_of(*key, np.uint64(first) + np.arange(last - first, dtype=np.uint64), stream)


def words_of(key0: Word, key1: Word, block: NDArray[np.uint64], stream: int) -> NDArray[np.uint32]:
    """The words of each `block`, four for each, with one key for all or one for each."""
    words = np.empty((block.size, LANES), np.uint32)
    for lane, lane_words in enumerate(lanes(key0, key1, block, stream)):
        words[:, lane] = lane_words
    return words.reshape(-1)


def words_at(key: Key, index: NDArray[np.uint64], stream: int) -> NDArray[np.uint32]:
    """The words of the elements at `index`, an array of any shape."""
    four = lanes(*key, index // np.uint64(LANES), stream)
    return np.choose((index % np.uint64(LANES)).astype(np.intp), four).astype(np.uint32)
