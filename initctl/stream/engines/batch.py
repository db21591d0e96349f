"""Runs of laws as tables of numbers for one call of a kernel."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, lru_cache
from math import copysign
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from initctl.stream.deterministic_laws import Constant, CountedLog, Hadamard, NotANumber, Sinusoid
from initctl.stream.engines import abi
from initctl.stream.engines.engine import LawRun, encode
from initctl.stream.laws import (
    LARGEST_FLOAT32,
    InverseSoftplus,
    LogUniform,
    Normal,
    TruncNormal,
    Uniform,
    ZeroedNormal,
    inner_bounds,
)
from initctl.stream.old_values import Affine, EveryRow, Mixture
from initctl.stream.protocols import FromOld, Law

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from initctl.dtypes import DType
    from initctl.stream.key import Key

_PATTERNS = 1024
"""How many constants' bytes are cached."""
_LARGEST_WORD = 2**32 - 1


class Form(NamedTuple):
    """A law in the form of the kernels: see `abi.FORM`."""

    law: int
    numbers: tuple[float, ...] = ()
    then: int = abi.KEPT
    table: NDArray[Any] | None = None
    columns: int = 1
    stream: int = 0
    second_stream: int = 0
    pattern: int = 0


class Known(NamedTuple):
    """The number of a form in its batch, None if the kernels do not know the law; and the bytes of an element."""

    number: int | None
    width: int


class Batch:
    """Runs for one call of `fill`."""

    def __init__(self) -> None:
        self._runs: list[int] = []
        self._forms: list[tuple[Any, ...]] = []
        self._tables: list[NDArray[Any] | None] = []
        self._known: dict[tuple[int, int], Known] = {}

    def form_of(self, run: LawRun) -> Known:
        """The form of a run. Its law and dtype must live longer than the batch.

        Forms are cached by identity, since equal laws may give different bits: a mean of 0 and one of -0.
        """
        law, _, start, stop, dtype = run
        key = id(law), id(dtype)
        found = self._known.get(key)
        if found is None:
            form = _form(law, start, stop, dtype)
            found = Known(self.number_of(form, dtype) if form else None, dtype.width)
            if not isinstance(law, FromOld):  # otherwise the table is only for this run
                self._known[key] = found
        return found

    def number_of(self, form: Form, dtype: DType) -> int:
        """The number of a new form for elements of `dtype`."""
        numbers = *form.numbers, *_NO_NUMBERS[len(form.numbers) :]
        streams = form.stream, form.second_stream
        self._forms.append((form.law, form.then, form.pattern, *streams, form.columns, numbers, dtype_fields(dtype)))
        self._tables.append(form.table)
        return len(self._forms) - 1

    def add(self, number: int, key: Key, start: int, stop: int, place: int) -> None:
        """Add the elements from `start` to `stop` of form `number`, which begin at element `place` of the output."""
        self._runs += (number, *key, start, stop, place)

    def arguments(self) -> tuple[int, NDArray[Any], NDArray[Any], NDArray[Any]]:
        """The first arguments of the kernel `fill`."""
        tables = [0 if table is None else table.ctypes.data for table in self._tables]
        runs = np.array(self._runs, np.int64)
        return len(runs) // len(abi.RUN_FIELDS), runs, np.array(self._forms, abi.FORM), np.array(tables, np.uintp)


_NO_NUMBERS = (0.0,) * abi.PARAMETERS
"""Padding for the numbers of a law."""


def _form(law: Law, start: int, stop: int, dtype: DType) -> Form | None:
    """`law` from index `start` to `stop`; None if the kernels do not know it. A subclass of a law is not known."""
    if type(law) is Constant:
        return Form(abi.CONSTANT, pattern=_pattern(law.value, copysign(1, law.value), dtype))
    if type(law) is NotANumber:
        return Form(abi.CONSTANT, pattern=dtype.nan)
    known = _KNOWN.get(type(law)) if dtype.is_floating else None
    return known(law, start, stop) if known else None


def _log_uniform(law: LogUniform, *_: int) -> Form:
    low, high = law.logarithms
    return Form(abi.LOG_UNIFORM, (low, high - low, law.a, law.b, *inner_bounds(law.a, law.b)))


def _inverse_softplus(law: InverseSoftplus, *_: int) -> Form:
    low, high = law.logarithms
    return Form(abi.INVERSE_SOFTPLUS, (low, high - low, max(law.a, law.floor), max(law.b, law.floor)))


def _truncated_normal(law: TruncNormal, *_: int) -> Form:
    return Form(abi.TRUNC_NORMAL, (law.mean, law.std, *law.inner_bounds, *law.tails, -1 if law.is_above else 1))


def _zeroed_normal(law: ZeroedNormal, *_: int) -> Form | None:
    if law.parts > 1:
        return None
    cutoffs = np.ascontiguousarray(law.cutoffs)
    return Form(abi.NORMAL, (-0.0, law.std), abi.ZEROED, cutoffs, cutoffs.size, second_stream=law.stream)


def _sinusoid(law: Sinusoid, *_: int) -> Form:
    return Form(abi.UNDRAWN, (), abi.SINUSOID, np.tile(law.frequencies, 2), law.channels)


def _hadamard(law: Hadamard, *_: int) -> Form | None:
    is_matrix = law.taps == 1 and law.columns <= _LARGEST_WORD
    return Form(abi.UNDRAWN, (law.scale,), abi.HADAMARD, columns=law.columns) if is_matrix else None


def _every_row(law: EveryRow, *_: int) -> Form | None:
    if not law.noise or law.row.dtype != np.float32:
        return None
    return Form(abi.NORMAL, (-0.0, law.noise), abi.ROW_ADDED, np.ascontiguousarray(law.row), law.row.size)


def _affine(law: Affine, start: int, stop: int) -> Form | None:
    stored, drawn = law.old.stored(start, stop), abi.NORMAL if law.noise else abi.UNDRAWN
    return None if stored.dtype == np.float64 else Form(drawn, (-0.0, law.noise, law.scale), abi.AFFINE, stored)


def _mixture(law: Mixture, start: int, stop: int) -> Form | None:
    stored, numbers = law.old.stored(start, stop), (law.mean, law.std, law.p)
    is_double = stored.dtype == np.float64
    return None if is_double else Form(abi.NORMAL, numbers, abi.MIXTURE, stored, second_stream=law.stream)


_KNOWN: dict[type, Callable[[Any, int, int], Form | None]] = {
    Uniform: lambda law, *_: Form(abi.UNIFORM, (law.a, law.b - law.a)),
    Normal: lambda law, *_: Form(abi.NORMAL, (law.mean, law.std)),
    CountedLog: lambda law, *_: Form(abi.UNDRAWN, (law.start,), abi.COUNTED_LOG, columns=law.columns),
    TruncNormal: _truncated_normal,
    LogUniform: _log_uniform,
    InverseSoftplus: _inverse_softplus,
    ZeroedNormal: _zeroed_normal,
    Sinusoid: _sinusoid,
    Hadamard: _hadamard,
    EveryRow: _every_row,
    Affine: _affine,
    Mixture: _mixture,
}


@lru_cache(_PATTERNS, typed=True)
def _pattern(value: float, sign: float, dtype: DType) -> int:  # noqa: ARG001 - the cache must distinguish 0 and -0
    """The bytes of a constant, as a whole number."""
    return int.from_bytes(encode(np.array([value]), dtype).tobytes(), "little", signed=True)


@cache
def dtype_fields(dtype: DType) -> tuple[int, ...]:
    """`dtype` in the form of the kernels: see `abi.DTYPE`."""
    import ml_dtypes

    if not dtype.is_floating or dtype.width > np.dtype(np.float32).itemsize:
        return dtype.width, 0, 0, 0, 0, 0, _bits(LARGEST_FLOAT32)
    kind = ml_dtypes.finfo(dtype.numpy)  # type: ignore[no-untyped-call]
    with np.errstate(over="ignore"):
        largest, overflow, minus_zero = (
            int.from_bytes(encode(np.array([value], np.float32), dtype).tobytes(), "little")
            for value in (kind.max, np.inf, -0.0)
        )
    return dtype.width, kind.nmant, 1 - kind.minexp, largest, overflow, minus_zero != 0, _bits(dtype.largest)


def _bits(number: float) -> int:
    return int(np.float32(number).view(np.int32))
