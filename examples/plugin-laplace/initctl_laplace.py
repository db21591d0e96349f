"""The Laplace distribution as an initializer.

An initializer resolves to a law for each tensor. A law computes the values in a range of element indices from the
tensor's draws. The value at an index must not depend on the range: then shards, threads and pieces cannot change it.

The logarithm is `initctl.plugins.natural_log`, not `numpy.log`. NumPy's differs in the last digit between machines, but
a seed must give the same values everywhere. Multiplication, subtraction and `abs` are rounded exactly on all machines.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from initctl.plugins import Draws, Initializer, Number, Parameter, Resolved, TensorSpec, natural_log

LN_2 = 0.6931471805599453


@dataclass(frozen=True)
class Laplace:
    """Density exp(-|x| / scale) / (2 · scale), by inverting the distribution function, from 32 random bits."""

    scale: float

    @property
    def largest(self) -> float:
        """An upper bound of all magnitudes. initctl refuses dtypes that it would overflow."""
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
