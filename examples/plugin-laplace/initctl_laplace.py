"""The Laplace distribution as an initializer.

An initializer resolves to a law for each tensor; a law computes the values at a range of element indices from the
tensor's draws. Whatever range it is asked for, a value at an index must be the same: then shards, threads and pieces
cannot change it.

The logarithm is `initctl.plugins.natural_log`, and not `numpy.log`: NumPy's differs in the last digit between machines,
and one seed must have one answer everywhere. Multiplication, subtraction and `abs` are exactly rounded on all of them.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from initctl.plugins import Draws, Initializer, Number, Parameter, Resolved, TensorSpec, natural_log

LN_2 = 0.6931471805599453


@dataclass(frozen=True)
class Laplace:
    """Density exp(-|x| / scale) / (2 · scale), by inversion of 32 random bits."""

    scale: float

    @property
    def largest(self) -> float:
        """A bound on the magnitude of every value: a dtype that it would overflow is refused beforehand."""
        return self.scale * 33 * LN_2

    def values(self, draws: Draws, start: int, stop: int) -> NDArray[np.float32]:
        centered = draws.fraction01(start, stop) - 0.5
        magnitude = -self.scale * natural_log(1 - 2 * np.abs(centered))
        return np.where(centered < 0, -magnitude, magnitude).astype(np.float32)


def laplace(_: TensorSpec, *, scale: float) -> Resolved:
    return Resolved(Laplace(scale))


LAPLACE = Initializer(
    "laplace",
    laplace,
    (Parameter("scale", Number(minimum=0), 1),),
    summary="Laplace distribution around zero",
    formula="exp(-|x| / scale) / (2 · scale)",
    source="Laplace: Mémoire sur la probabilité des causes par les évènements (1774)",
    example="fc.weight=laplace:scale=0.02",
)
