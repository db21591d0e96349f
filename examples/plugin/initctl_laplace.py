"""The Laplace distribution as an initializer.

An initializer resolves to a fill for each tensor; a fill computes the values at a range of element indices from the
tensor's draws. Whatever range it is asked for, a value at an index must be the same: then shards, threads and pieces
cannot change it. Where a value depends on others, the fill is an `initctl.stream.WholeLaw` instead: it says how much
memory it needs, and prepares such a fill from all the draws.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from initctl.initializers import Initializer, Number, Parameter, Resolved
from initctl.stream import Draws
from initctl.tensors import TensorSpec


@dataclass(frozen=True)
class Laplace:
    """Density exp(-|x| / scale) / (2 · scale), by inversion of 32 random bits."""

    scale: float

    @property
    def largest(self) -> float:
        """A bound on the magnitude of every value: a dtype that it would overflow is refused beforehand."""
        return self.scale * 33 * np.log(2)

    def values(self, draws: Draws, start: int, stop: int) -> NDArray[np.float32]:
        centred = (draws.words(start, stop) + 0.5) * 2.0**-32 - 0.5
        return (-self.scale * np.sign(centred) * np.log1p(-2 * np.abs(centred))).astype(np.float32)


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
