"""The proof that an engine computes the reference's bits, here and now: a few thousand numbers, in milliseconds."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from initctl.dtypes import DTYPES
from initctl.stream.engines.engine import NumpyEngine
from initctl.stream.key import stream_key
from initctl.stream.laws import Normal, TruncNormal, Uniform, ZeroedNormal

if TYPE_CHECKING:
    from initctl.stream.engines.engine import Engine
    from initctl.stream.laws import Law

_ROWS, _COLUMNS, _ZEROS = 100, 70, 33
_LAWS: tuple[Law, ...] = (Uniform(-0.1, 0.3), Normal(0.1, 0.02), TruncNormal(0, 1, -2, 2), TruncNormal(0, 1, 1, 9))
_ELEMENTS = range(2**34 - 5, 2**34 + 8192)
"""Beyond 32 bits, and no whole number of blocks."""


def gives_reference_bits(engine: Engine) -> bool:
    """Whether `engine` computes what the reference does: every random law, in every dtype of a number."""
    reference, key = NumpyEngine(), stream_key(0, "fc1.weight")
    cutoffs, theirs = (
        one.draws(key).kth_smallest(_ROWS, _COLUMNS, _ZEROS, stream=ZeroedNormal.stream) for one in (reference, engine)
    )
    if not np.array_equal(cutoffs, theirs):
        return False
    cases = [*product(_LAWS, [_ELEMENTS]), (ZeroedNormal(0.5, cutoffs), range(_ROWS * _COLUMNS))]
    for (law, elements), dtype in product(cases, filter(lambda dtype: dtype.kind == "float", DTYPES)):
        one, other = (np.empty(len(elements) * dtype.width, np.uint8) for _ in range(2))
        reference.fill(law, key, elements.start, elements.stop, dtype, one)
        engine.fill(law, key, elements.start, elements.stop, dtype, other)
        if not np.array_equal(one, other):
            return False
    return True
