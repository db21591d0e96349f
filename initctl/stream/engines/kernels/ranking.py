"""The k-th smallest random number of each column of a matrix."""

from __future__ import annotations

from numba import carray

from initctl.stream.engines.kernels.compiling import cipher, loop, u32, u64
from initctl.stream.philox import LANES

_HALF = u64(32)
_TWO = u64(2)


@loop
def _column(key0, key1, stream, columns, column, words):
    """The words of one column of a matrix."""
    for row in range(words.size):
        index = u64(row) * u64(columns) + u64(column)
        c0, c1, c2, c3 = cipher.lanes(key0, key1, index >> _TWO, stream)
        lane = index & u64(3)
        lower, upper = (c0 if lane == u64(0) else c1), (c2 if lane == u64(2) else c3)
        words[row] = u32(lower if lane < u64(2) else upper)


@loop
def _four_columns(key0, key1, stream, columns, column, words):
    """The same for four columns, which are the lanes of a block, if the number of columns is a multiple of four."""
    for row in range(words.shape[1]):
        index = u64(row) * u64(columns) + u64(column)
        c0, c1, c2, c3 = cipher.lanes(key0, key1, index >> _TWO, stream)
        words[0, row], words[1, row], words[2, row], words[3, row] = u32(c0), u32(c1), u32(c2), u32(c3)


@loop
def _kth(words, k):
    """The k-th smallest of the numbers `word << 32 | row`.

    The word is found bit by bit: it is the largest one such that fewer than `k` words are smaller.
    """
    word, smaller = u32(0), 0
    for bit in range(32):
        trial = u32(word | u32(u32(1) << u32(31 - bit)))
        below = 0
        for row in range(words.size):
            below += u32(words[row] < trial)
        if below < k:
            word, smaller = trial, below
    row, left = -1, k - smaller
    while left > 0:
        row += 1
        left -= u32(words[row] == word)
    return (u64(word) << _HALF) | u64(row)


def kth_smallest(key0, key1, stream, rows, columns, first, last, k, words, out):
    """For each column from `first` to `last`, the k-th smallest of its elements' numbers `word << 32 | row`."""
    key0, key1, stream = u64(key0), u64(key1), u64(stream)
    words, found = carray(words, (LANES, rows), u32), carray(out, last - first, u64)
    if columns % LANES == 0 and first % LANES == 0:
        for column in range(first, last, LANES):
            _four_columns(key0, key1, stream, columns, column, words)
            for lane in range(LANES):
                found[column - first + lane] = _kth(words[lane], k)
    else:
        for column in range(first, last):
            _column(key0, key1, stream, columns, column, words[0])
            found[column - first] = _kth(words[0], k)
