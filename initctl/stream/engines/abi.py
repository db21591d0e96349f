"""What the compiled loops and those who call them agree on."""

from __future__ import annotations

import numpy as np

TILE = 512
"""Philox blocks that are computed at a time: their words and values fit the processor's first caches."""

CONSTANT, WORDS, UNIFORM, NORMAL, TRUNC_NORMAL, LOG_UNIFORM, INVERSE_SOFTPLUS, UNDRAWN = range(8)
"""What is drawn."""
KEPT, ZEROED, ROW_ADDED, SINUSOID, COUNTED_LOG, HADAMARD, GIVEN, AFFINE, MIXTURE = range(9)
"""What becomes of it then, by the numbers of a table: those of a row, those that are given, or old values."""

_INTEGER, _NUMBER, _KEY = "i8", "f8", "u8"
DTYPE = np.dtype(
    [(name, _INTEGER) for name in ("width", "mantissa", "bias", "largest", "overflow", "minus_zero", "reach")]
)
"""Bytes of an element; then, for floats of at most 32 bits, bits of the mantissa, bias of the exponent, the code of
the largest finite number, the code on overflow, and whether -0 exists; and, for all, the bits of the largest finite
number that float32 has as well, in float32."""
PARAMETERS = 7
"""Numbers a law takes at most."""
FORM = np.dtype(
    [
        *((name, _INTEGER) for name in ("law", "then", "pattern", "stream", "second_stream", "columns")),
        ("numbers", _NUMBER, PARAMETERS),
        ("dtype", DTYPE),
    ]
)
"""A law on elements of a dtype: the bytes of a constant, the streams from which values and then changes are drawn, and
the columns of the matrix, if they matter."""
RUN_FIELDS = "form", "key0", "key1", "start", "stop", "place"
RUN = np.dtype([(name, _KEY if name.startswith("key") else _INTEGER) for name in RUN_FIELDS])
"""Elements that are computed: `place` is the number of the first in the output, in its own elements."""
SCRATCH = np.dtype(
    [
        ("words", "u4", 4 * TILE),
        ("reals", "f4", (5, 4 * TILE)),
        ("doubles", "f8", (2, 4 * TILE)),
        ("is_beyond", _INTEGER),
    ]
)
"""Memory that the kernels use while they run. `is_beyond` becomes 1 if old values led to what is not finite."""

MOMENTS = np.dtype(
    [
        *((name, _NUMBER) for name in ("around", "total", "squares")),
        *((name, _INTEGER) for name in ("lowest", "highest", "nan", "infinite", "zeros", "subnormal")),
    ]
)
"""What numbers come to: of the finite ones, the sum of distances from `around` (if that is NaN, it becomes a number
near the mean), and of their squares; the codes of the smallest and the largest, of negative ones all bits but the sign
inverted; then how many numbers are NaN, infinite, 0, and smaller than normal ones."""

DISTANCE = np.dtype(
    [
        ("finite", _INTEGER),
        *((name, _NUMBER) for name in ("largest", "total", "squares", "one", "other", "products")),
    ]
)
"""How far apart the elements of a run are: the fields of `Distance`."""

SIGNATURES = {
    "fill": "ipptpp",
    "added": "pippp",
    "measured": "pipppp",
    "distances": "ppiipppp",
    "kth_smallest": "iiiiiiiipp",
}
"""The kernels' parameters: whole numbers (`i`), addresses (`p`), and addresses of addresses (`t`)."""
