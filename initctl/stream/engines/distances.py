"""Distances between numbers: sums of distances, and the sums for norms and for the angle between two tensors."""

from __future__ import annotations

from math import isfinite, nan, sqrt
from operator import add
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from initctl.dtypes import DType


class Distance(NamedTuple):
    """Distances between the elements of two tensors. Only elements that are `finite` in both count.

    `largest` is the largest distance between two elements, `total` the sum of distances, and `squares` the sum of their
    squares. `one` and `other` are the sums of squares of either tensor, and `products` is the sum of products. A
    complex element is one number.
    """

    finite: int = 0
    largest: float = 0.0
    total: float = 0.0
    squares: float = 0.0
    one: float = 0.0
    other: float = 0.0
    products: float = 0.0

    @property
    def mean(self) -> float:
        """The mean distance between two elements; NaN if there are none."""
        return self.total / self.finite if self.finite else nan

    @property
    def relative(self) -> float:
        """The norm of the difference divided by the norm of `one`; NaN if only the latter is 0."""
        if not self.squares:
            return 0.0 if self.finite else nan
        return sqrt(self.squares) / sqrt(self.one) if self.one else nan

    @property
    def cosine(self) -> float:
        """The cosine of the angle between both tensors as vectors; NaN if one of them is 0."""
        norms = sqrt(self.one) * sqrt(self.other)
        return max(-1.0, min(self.products / norms, 1.0)) if norms and isfinite(norms) else nan

    def __add__(self, other: Distance) -> Distance:  # type: ignore[override]
        """The distance over the elements of both."""
        finite, _, *sums = map(add, self, other)
        return Distance(int(finite), max(self.largest, other.largest), *sums)


def distance_of(one: NDArray[Any], dtype: DType, other: NDArray[Any], other_dtype: DType) -> Distance:
    """The distance between two runs of stored numbers with equal numbers of elements, in float64.

    Distances between integers of one dtype are exact before they are rounded to float64.
    """
    numbers, others = as_doubles(one, dtype), as_doubles(other, other_dtype)
    is_finite = np.isfinite(numbers) & np.isfinite(others)
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        numbers, others = np.where(is_finite, numbers, 0), np.where(is_finite, others, 0)
        is_exact = dtype == other_dtype and dtype.kind == "integer"
        apart = _between_integers(one, other) if is_exact else np.abs(numbers - others)
        return Distance(
            int(np.count_nonzero(is_finite)),
            float(apart.max(initial=0)),
            float(apart.sum()),
            float(np.square(apart).sum()),
            float(np.square(np.abs(numbers)).sum()),
            float(np.square(np.abs(others)).sum()),
            float((numbers * others.conj()).real.sum()),
        )


def as_doubles(stored: NDArray[Any], dtype: DType) -> NDArray[Any]:
    """Stored numbers as elements in float64, or in complex128."""
    with np.errstate(invalid="ignore"):  # a signaling NaN
        doubles = stored.astype(np.float64)
    return doubles.view(np.complex128) if dtype.parts > 1 else doubles


def _between_integers(one: NDArray[Any], other: NDArray[Any]) -> NDArray[np.float64]:
    """The distances between integers: each fits into an unsigned integer of the same size."""
    unsigned = np.dtype(f"u{one.dtype.itemsize}")
    above, below = np.maximum(one, other), np.minimum(one, other)
    apart: NDArray[Any] = above.view(unsigned) - below.view(unsigned)
    return apart.astype(np.float64)
