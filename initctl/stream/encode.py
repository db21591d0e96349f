"""Values → the bytes of a dtype, rounded once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from initctl.dtypes import DType


def encode(values: NDArray[Any], dtype: DType) -> NDArray[np.uint8]:
    """The little-endian bytes of `values` (one a real number) as elements of `dtype`.

    What is of that type already stays as it is, to the bit. float32 values are rounded to nearest even for narrower
    types and widened exactly to doubles. Values of other types are constants: exact for integers, bools and doubles,
    and rounded through float32 for the rest, so that a bfloat16 file is the rounding of the float32 one. What overflows
    becomes infinite, or NaN if a type has no infinity.
    """
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        if dtype.is_floating and not dtype.is_double and values.dtype != dtype.numpy:
            values = values.astype(np.float32, copy=False)
        stored = values.astype(dtype.numpy, copy=False)
    return np.ascontiguousarray(stored, stored.dtype.newbyteorder("<")).view(np.uint8)
