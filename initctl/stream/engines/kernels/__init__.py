"""The compiled engine's loops, written for Numba.

    compiling.py   how they are compiled, and the formulas that they share with the reference
    casting.py     float32 numbers from and to the elements of a dtype
    distances.py   distances between the elements of two tensors
    filling.py     value stream v1: from words to bytes
    measuring.py   moments, extremes and counts of stored elements
    ranking.py     the k-th smallest random number of each column of a matrix
    summing.py     sums of stored elements in their order

This package is imported only if object code must be compiled (see `object_code`).

The loops are fast since each is short and does one thing to a tile that fits into the cache, so the compiler turns it
into vector instructions: words, then radius, then angle, then cast. Merged into one loop they are five times slower.
The bits are equal since nothing is fused: there is no fastmath, except for sums of exact products. Every step is cast
back to 32 bits, since Numba computes small integers in 64 bits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from numba import cfunc, types

from initctl.stream.engines import abi
from initctl.stream.engines.kernels.distances import distances
from initctl.stream.engines.kernels.filling import fill
from initctl.stream.engines.kernels.measuring import measured
from initctl.stream.engines.kernels.ranking import kth_smallest
from initctl.stream.engines.kernels.summing import added

if TYPE_CHECKING:
    from collections.abc import Callable

    from numba.core.ccallback import CFunc

_C_TYPES = {"i": types.int64, "p": types.voidptr, "t": types.CPointer(types.voidptr)}


def _exported(kernel: Callable[..., None]) -> CFunc:
    types_of = map(_C_TYPES.__getitem__, abi.SIGNATURES[kernel.__name__])
    function: CFunc = cfunc(types.void(*types_of), nopython=True, error_model="numpy")(kernel)
    return function


KERNELS = {kernel.__name__: _exported(kernel) for kernel in (fill, added, measured, distances, kth_smallest)}
"""Each kernel as a function with the calling convention of C."""
