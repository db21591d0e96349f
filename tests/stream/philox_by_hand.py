"""Philox4x32-10 once more, in whole numbers of any size, one counter at a time."""

from __future__ import annotations

MASK = 2**32 - 1


def philox_by_hand(key, counter):
    k0, k1 = key
    c0, c1, c2, c3 = counter
    for _ in range(10):
        high0, low0 = divmod(0xD2511F53 * c0, 2**32)
        high1, low1 = divmod(0xCD9E8D57 * c2, 2**32)
        c0, c1, c2, c3 = high1 ^ c1 ^ k0, low1, high0 ^ c3 ^ k1, low0
        k0, k1 = (k0 + 0x9E3779B9) & MASK, (k1 + 0xBB67AE85) & MASK
    return c0, c1, c2, c3


def word_by_hand(key, index, stream=0):
    """The word of element `index`."""
    block, lane = divmod(index, 4)
    return philox_by_hand(key, (block & MASK, block >> 32, 0, stream))[lane]
