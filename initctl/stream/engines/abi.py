"""What the compiled loops and those who call them agree on."""

from __future__ import annotations

TILE = 512
"""Philox blocks that are computed at a time: their words and values fit the processor's first caches."""
SCRATCH = 4 * TILE
"""32-bit words that the kernels need room for, with four times as many float32 and twice as many float64 numbers."""

WORDS, CONSTANT, UNIFORM, NORMAL, TRUNC_NORMAL, LOG_UNIFORM, INVERSE_SOFTPLUS = range(7)
"""What `fill` computes."""
ZEROED_NORMAL, ROW_PLUS_NORMAL, SINUSOID, COUNTED_LOG, HADAMARD, AFFINE, MIXTURE = range(7)
"""What `fill_from` computes."""
RUN_FIELDS = 9
"""What `fill` knows of a run: one of these, the row of its parameters (of a constant, its bytes), the row of its
dtype, the two halves of its key, its stream, the indices at which it starts and stops, and its first element in the
output, in its own elements."""
PARAMETERS = 7
"""Numbers a law takes at most."""
DTYPE_FIELDS = 6
"""What the kernels know of a dtype: bytes of an element; then, for floats of fewer than 32 bits, bits of the
mantissa, bias of the exponent, the code of the largest finite number, the code on overflow, and whether -0 exists."""

SIGNATURES = {
    "fill": "ildlurdp",
    "fill_from": "iiiiiidiplurdpl",
    "added": "pilidr",
    "encode": "rilp",
    "kth_smallest": "iiiiiiiiup",
}
"""The kernels' parameters: whole numbers (`i`), and addresses of float64 (`d`), int64 (`l`), uint32 (`u`), float32
(`r`) and untyped (`p`) memory."""
