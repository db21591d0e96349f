"""Laws that a kernel computes from an array besides their parameters: the numbers of a row, or old values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from initctl.stream.engines.abi import (
    AFFINE,
    COUNTED_LOG,
    HADAMARD,
    MIXTURE,
    PARAMETERS,
    ROW_PLUS_NORMAL,
    SINUSOID,
    ZEROED_NORMAL,
)
from initctl.stream.formulas import CountedLog, Hadamard, Sinusoid
from initctl.stream.laws import ZeroedNormal
from initctl.stream.old_values import Affine, EveryRow, Mixture

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from initctl.stream.protocols import Law

_NO_TABLE = np.zeros(1)
_LARGEST_WORD = 2**32 - 1


class Tabled(NamedTuple):
    """What `fill_from` calls a law; `columns` are those of the matrix that it fills, if they matter."""

    law: int
    parameters: tuple[float, ...]
    table: NDArray[Any]
    columns: int = 1
    stream: int = 0

    @property
    def row(self) -> NDArray[np.float64]:
        """Its parameters, and zeros for those that it does not have."""
        return np.array([*self.parameters, *[0.0] * (PARAMETERS - len(self.parameters))])


def tabled(law: Law, start: int, stop: int) -> Tabled | None:
    """`law` from index `start` to `stop`; None if the kernel does not know it."""
    known = _KNOWN.get(type(law))
    return known(law, start, stop) if known else None


def _zeroed_normal(law: ZeroedNormal, *_: int) -> Tabled | None:
    if law.parts > 1:
        return None
    cutoffs = np.ascontiguousarray(law.cutoffs)
    return Tabled(ZEROED_NORMAL, (-0.0, law.std), cutoffs, cutoffs.size, law.stream)


def _sinusoid(law: Sinusoid, *_: int) -> Tabled:
    return Tabled(SINUSOID, (), law.frequencies, law.channels)


def _counted_log(law: CountedLog, *_: int) -> Tabled:
    return Tabled(COUNTED_LOG, (law.start,), _NO_TABLE, law.columns)


def _hadamard(law: Hadamard, *_: int) -> Tabled | None:
    is_matrix = law.taps == 1 and law.columns <= _LARGEST_WORD
    return Tabled(HADAMARD, (law.scale,), _NO_TABLE, law.columns) if is_matrix else None


def _every_row(law: EveryRow, *_: int) -> Tabled | None:
    if not law.noise or law.row.dtype != np.float32:
        return None
    return Tabled(ROW_PLUS_NORMAL, (-0.0, law.noise), np.ascontiguousarray(law.row), law.row.size)


def _affine(law: Affine, start: int, stop: int) -> Tabled | None:
    stored = law.old.stored(start, stop)
    return None if stored.dtype == np.float64 else Tabled(AFFINE, (-0.0, law.noise, law.scale), stored)


def _mixture(law: Mixture, start: int, stop: int) -> Tabled | None:
    stored = law.old.stored(start, stop)
    if stored.dtype == np.float64:
        return None
    return Tabled(MIXTURE, (law.mean, law.std, law.p), stored, stream=law.stream)


_KNOWN: dict[type, Callable[..., Tabled | None]] = {
    ZeroedNormal: _zeroed_normal,
    Sinusoid: _sinusoid,
    CountedLog: _counted_log,
    Hadamard: _hadamard,
    EveryRow: _every_row,
    Affine: _affine,
    Mixture: _mixture,
}
