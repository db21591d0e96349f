"""Whether two stretches of memory hold the same bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_WIDE = 8
"""Bytes that are compared at a time."""


def equal(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> bool:
    """Whether two arrays of as many bytes are equal: compared as wide numbers, in memory that is aligned or not."""
    wide = one.size // _WIDE * _WIDE
    return np.array_equal(one[:wide].view(np.uint64), other[:wide].view(np.uint64)) and np.array_equal(
        one[wide:], other[wide:]
    )
