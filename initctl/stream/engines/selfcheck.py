"""A check that an engine computes the reference's bits on this machine: a few thousand numbers, in milliseconds."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from initctl.dtypes import DTYPES, DType
from initctl.stream.deterministic_laws import CountedLog, Hadamard, NotANumber, Sinusoid
from initctl.stream.engines.engine import Engine, LawRun
from initctl.stream.key import Key, stream_key
from initctl.stream.laws import InverseSoftplus, LogUniform, Normal, TruncNormal, Uniform, ZeroedNormal
from initctl.stream.old_values import Affine, EveryRow, Mixture

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from initctl.stream.protocols import Law, Source

_ROUNDING = 1e-6
"""The allowed difference between moments, in standard deviations."""
_ROWS, _COLUMNS, _ZEROS = 100, 70, 33
_COUNT = _ROWS * _COLUMNS
_RUN = 5000
"""Elements of one run of distances."""
_ELEMENTS = range(2**34 - 5, 2**34 + 8192)
"""Indices beyond 32 bits, and not a whole number of blocks."""
_LAWS: tuple[Law, ...] = (
    Uniform(-0.1, 0.3),
    Normal(0.1, 0.02),
    TruncNormal(0, 1, -2, 2),
    TruncNormal(0, 1, 1, 9),
    LogUniform(1e-3, 400),
    InverseSoftplus(1e-3, 0.1, 1e-4),
    InverseSoftplus(1e-3, 30, 1e-4),
    CountedLog(_COLUMNS, 0.25),
    Hadamard(_COLUMNS, 0.125, 1, 0),
    NotANumber(),
)


class Held(NamedTuple):
    """Old values in memory."""

    numbers: NDArray[Any]

    @property
    def shape(self) -> tuple[int, ...]:
        return self.numbers.shape

    def values(self, start: int, stop: int) -> NDArray[Any]:
        stored = self.stored(start, stop)
        return stored if stored.dtype == np.float64 else stored.astype(np.float32)

    def stored(self, start: int, stop: int) -> NDArray[Any]:
        return self.numbers.reshape(-1)[start:stop].copy()

    def rows(self, order: Sequence[int], width: int) -> NDArray[Any]:
        return self.numbers.reshape(-1, width)[order].reshape(-1)

    def other(self, _: Source) -> Held:
        return self


def gives_reference_bits(engine: Engine) -> bool:
    """Whether `engine` computes the reference's bits: for every law that it may know, in every float dtype."""
    reference, key = Engine(), stream_key(0, "fc1.weight")
    draws, others = reference.draws(key), engine.draws(key)
    cutoffs, theirs = (
        each.kth_smallest(_ROWS, _COLUMNS, _ZEROS, stream=ZeroedNormal.stream) for each in (draws, others)
    )
    if not np.array_equal(cutoffs, theirs):
        return False
    numbers = draws.normal01(0, _COUNT)
    for dtype in filter(lambda dtype: dtype.kind == "float", DTYPES):
        held = Held(numbers.astype(dtype.numpy))
        if any(
            draws.added(0.5, held.numbers, around=a) != others.added(0.5, held.numbers, around=a) for a in (None, 1)
        ):
            return False
        if not _measure_alike(reference, engine, held.numbers, dtype):
            return False
        if not _compare_alike(reference, engine, held.numbers, dtype):
            return False
        cases = (*product(_LAWS, [_ELEMENTS]), *product(_matrix_laws(cutoffs, held), [range(3, _COUNT)]))
        if not all(_fill_alike(reference, engine, law, key, elements, dtype) for law, elements in cases):
            return False
    return True


def _matrix_laws(cutoffs: NDArray[np.uint64], held: Held) -> tuple[Law, ...]:
    """Laws on a matrix, some of them with the old values `held`."""
    row = held.values(0, _COLUMNS).astype(np.float32)
    return (
        ZeroedNormal(0.5, cutoffs),
        Sinusoid(_COLUMNS, 1e4),
        EveryRow(row, 0.1),
        Affine(held, 0.7, 0.1),
        Affine(held, 0.7, 0),
        Mixture(held, 0.4, 0.1, 0.2),
    )


def _fill_alike(one: Engine, other: Engine, law: Law, key: Key, elements: range, dtype: DType) -> bool:
    ours, theirs = (np.empty(len(elements) * dtype.width, np.uint8) for _ in range(2))
    run = LawRun(law, key, elements.start, elements.stop, dtype)
    one.fill([run], ours)
    other.fill([run], theirs)
    return np.array_equal(ours, theirs)


def _unusual(dtype: DType) -> NDArray[Any]:
    return np.array([np.nan, np.inf, -np.inf, 0, -0.0, -1e-7, 1e-41], np.float32).astype(dtype.numpy)


def _compare_alike(one: Engine, other: Engine, numbers: NDArray[Any], dtype: DType) -> bool:
    """Whether both give the same distances, except for rounding."""
    some, others = np.concatenate([numbers, _unusual(dtype)]), np.concatenate([_unusual(dtype), numbers])
    mine, theirs = (np.array(engine.distances(some, dtype, others, dtype, _RUN)) for engine in (one, other))
    return np.array_equal(mine[:, 0], theirs[:, 0]) and np.allclose(mine, theirs, rtol=_ROUNDING, atol=0)


def _measure_alike(one: Engine, other: Engine, numbers: NDArray[Any], dtype: DType) -> bool:
    """Whether both give the same counts, and the same moments except for rounding."""
    together = np.concatenate([numbers, _unusual(dtype)])
    (mine,), (theirs,) = (engine.measured(together, dtype, [(1, together.size)]) for engine in (one, other))
    distances = abs(mine.mean - theirs.mean), abs(mine.std - theirs.std)
    return mine[:1] + mine[3:] == theirs[:1] + theirs[3:] and max(distances) < _ROUNDING * mine.std
