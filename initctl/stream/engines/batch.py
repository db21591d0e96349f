"""Runs of laws as the table of numbers that one call of a kernel takes."""

from __future__ import annotations

from functools import cache, lru_cache
from math import copysign
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from initctl.stream.encode import encode
from initctl.stream.engines.abi import (
    CONSTANT,
    DTYPE_FIELDS,
    INVERSE_SOFTPLUS,
    LOG_UNIFORM,
    NORMAL,
    PARAMETERS,
    RUN_FIELDS,
    TRUNC_NORMAL,
    UNIFORM,
)
from initctl.stream.formulas import InverseSoftplus, LogUniform
from initctl.stream.laws import Constant, Normal, TruncNormal, Uniform, inner_bounds

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from initctl.dtypes import DType
    from initctl.stream.key import Key
    from initctl.stream.protocols import Law

    KernelLaw = tuple[int, Sequence[float]]

_PATTERNS = 1024
"""Constants whose bytes are remembered."""


class Form(NamedTuple):
    """What the runs of a law in a dtype have in common: the first three of `abi.RUN_FIELDS`, and bytes of an element.

    `law` is None if the kernels do not know it.
    """

    law: int | None
    row: int
    dtype: int
    width: int


class Batch:
    """Runs for one call of `fill`, each added with the place of its first element in the output."""

    def __init__(self) -> None:
        self._runs: list[int] = []
        self._parameters: list[float] = []
        self._dtypes: dict[int, tuple[int, NDArray[np.int64], int]] = {}
        self._forms: dict[tuple[int, int], Form] = {}

    def form(self, law: Law, dtype: DType) -> Form:
        """What is added for runs of `law` as elements of `dtype`, both of which outlive the batch.

        Remembered by identity, since equal laws may give different bits: a mean of 0 and one of -0.
        """
        key = id(law), id(dtype)
        found = self._forms.get(key)
        if found is None:
            found = self._forms[key] = self._new_form(law, dtype)
        return found

    def _new_form(self, law: Law, dtype: DType) -> Form:
        if type(law) is Constant:
            row, width = self._dtype_row(dtype)
            return Form(CONSTANT, _pattern(law.value, copysign(1, law.value), dtype), row, width)
        known = known_law(law) if dtype.is_floating else None
        return self.numbered(known, dtype) if known else Form(None, 0, 0, dtype.width)

    def numbered(self, law: KernelLaw, dtype: DType) -> Form:
        """The same for a law as the kernels know it."""
        kind, numbers = law
        row = len(self._parameters) // PARAMETERS
        self._parameters += (*numbers, *_NO_NUMBERS[len(numbers) :])
        return Form(kind, row, *self._dtype_row(dtype))

    def _dtype_row(self, dtype: DType) -> tuple[int, int]:
        """The number of its row, and bytes of an element."""
        if id(dtype) not in self._dtypes:
            self._dtypes[id(dtype)] = len(self._dtypes), fields_of(dtype), dtype.width
        row, _, width = self._dtypes[id(dtype)]
        return row, width

    def add(self, form: Form, key: Key, start: int, stop: int, place: int, *, stream: int = 0) -> None:
        """Add the numbers from `start` to `stop` of a law, which begin at element number `place` of the output."""
        self._runs += (*form[:3], *key, stream, start, stop, place)  # type: ignore[arg-type]

    @property
    def arguments(self) -> tuple[int, NDArray[np.int64], NDArray[np.float64], NDArray[np.int64]]:
        """What `fill` takes first."""
        dtypes = np.array([fields for _, fields, _ in self._dtypes.values()], np.int64)
        count = len(self._runs) // RUN_FIELDS
        return count, np.array(self._runs, np.int64), np.array(self._parameters, np.float64), dtypes


_NO_NUMBERS = (0.0,) * PARAMETERS
"""What fills a row of parameters up."""


def known_law(law: Law) -> KernelLaw | None:
    """What the kernels call `law`; None if they do not know it. A subclass may compute anything, so they do not."""
    if type(law) is Uniform:
        return UNIFORM, (law.a, law.b - law.a)
    if type(law) is Normal:
        return NORMAL, (law.mean, law.std)
    if type(law) is TruncNormal:
        return TRUNC_NORMAL, (law.mean, law.std, *law.inner_bounds, *law.tails, -1 if law.is_above else 1)
    if type(law) is LogUniform:
        low, high = law.logarithms
        return LOG_UNIFORM, (low, high - low, law.a, law.b, *inner_bounds(law.a, law.b))
    if type(law) is InverseSoftplus:
        low, high = law.logarithms
        least = max(law.a, law.floor)
        return INVERSE_SOFTPLUS, (low, high - low, least, max(law.b, law.floor))
    return None


@lru_cache(_PATTERNS, typed=True)
def _pattern(value: float, sign: float, dtype: DType) -> int:  # noqa: ARG001 - 0 and -0 are equal but for it
    """The bytes of a constant, as a whole number."""
    return int.from_bytes(encode(np.array([value]), dtype).tobytes(), "little", signed=True)


@cache
def fields_of(dtype: DType) -> NDArray[np.int64]:
    """`dtype` as the kernels know it: see `abi.DTYPE_FIELDS`."""
    import ml_dtypes

    fields = np.zeros(DTYPE_FIELDS, np.int64)
    fields[0] = dtype.width
    if dtype.is_floating and dtype.width < np.dtype(np.float32).itemsize:
        kind = ml_dtypes.finfo(dtype.numpy)  # type: ignore[no-untyped-call]
        with np.errstate(over="ignore"):
            largest, overflow, minus_zero = (
                int.from_bytes(encode(np.array([value], np.float32), dtype).tobytes(), "little")
                for value in (kind.max, np.finfo(np.float32).max, -0.0)
            )
        fields[1:] = kind.nmant, 1 - kind.minexp, largest, overflow, minus_zero != 0
    return fields
