"""Constants and memory layouts that the compiled loops share with their callers."""

from __future__ import annotations

import numpy as np

TILE = 512
"""Philox blocks that are computed at a time: their words and values fit the processor's first caches."""

CONSTANT, WORDS, UNIFORM, NORMAL, TRUNC_NORMAL, LOG_UNIFORM, INVERSE_SOFTPLUS, UNDRAWN = range(8)
"""The random numbers of a law."""
KEPT, ZEROED, ROW_ADDED, SINUSOID, COUNTED_LOG, HADAMARD, GIVEN, AFFINE, MIXTURE = range(9)
"""The next step of a law, with the numbers of a table: those of a row, given values, or old values."""

_INTEGER, _NUMBER, _KEY = "i8", "f8", "u8"
DTYPE = np.dtype(
    [(name, _INTEGER) for name in ("width", "mantissa", "bias", "largest", "overflow", "minus_zero", "reach")]
)
"""Bytes of an element; then, for floats of at most 32 bits, bits of the mantissa, bias of the exponent, the code of
the largest finite number, the code on overflow, and whether -0 exists. `reach`, for all dtypes: the bits of the largest
finite number that is also a float32, in float32."""
PARAMETERS = 7
"""The most numbers of a law."""
FORM = np.dtype(
    [
        *((name, _INTEGER) for name in ("law", "then", "pattern", "stream", "second_stream", "columns")),
        ("numbers", _NUMBER, PARAMETERS),
        ("dtype", DTYPE),
    ]
)
"""A law for elements of a dtype. `pattern` is the bytes of a constant. Values are drawn from `stream`, changes from
`second_stream`. `columns` are those of the matrix, if they matter."""
RUN_FIELDS = "form", "key0", "key1", "start", "stop", "place"
RUN = np.dtype([(name, _KEY if name.startswith("key") else _INTEGER) for name in RUN_FIELDS])
"""Elements to compute: `place` is the index of the first one in the output, counted in its elements."""
SCRATCH = np.dtype(
    [
        ("words", "u4", 4 * TILE),
        ("reals", "f4", (5, 4 * TILE)),
        ("doubles", "f8", (2, 4 * TILE)),
        ("is_beyond", _INTEGER),
    ]
)
"""Temporary memory of the kernels. They set `is_beyond` to 1 if old values gave a value that is not finite."""

MOMENTS = np.dtype(
    [
        *((name, _NUMBER) for name in ("around", "total", "squares")),
        *((name, _INTEGER) for name in ("lowest", "highest", "nan", "infinite", "zeros", "subnormal")),
    ]
)
"""Moments of numbers. Of the finite ones: the sum of their distances from `around`, and the sum of squared distances.
If `around` is NaN, it is set to a number near the mean. The codes of the smallest and the largest one; for negative
numbers, all bits but the sign are inverted. Then the counts of numbers that are NaN, infinite, 0, and subnormal."""

DISTANCE = np.dtype(
    [
        ("finite", _INTEGER),
        *((name, _NUMBER) for name in ("largest", "total", "squares", "one", "other", "products")),
    ]
)
"""Distances between the elements of a run: the fields of `Distance`."""

SIGNATURES = {
    "fill": "ipptpp",
    "added": "pippp",
    "measured": "pipppp",
    "distances": "ppiipppp",
    "kth_smallest": "iiiiiiiipp",
}
"""The parameters of the kernels: whole numbers (`i`), addresses (`p`), and addresses of addresses (`t`)."""
