"""Laws on complex tensors: element i has its real part at index 2i and its imaginary part at 2i + 1.

As in torch, the two parts of a normal element share its variance, each with std/√2. Mean and bounds hold for each
part. A constant is real, and so is everything that is not drawn; but both parts of NaN are NaN.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import sqrt
from typing import TYPE_CHECKING

from initctl.initializers.initializer import Unfit
from initctl.initializers.revising import CopiedTensor, PermutedRows
from initctl.initializers.structured import Sparse
from initctl.stream import AnyLaw, Deterministic, Fused, Law, Normal, NotANumber, Uniform

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from initctl.stream.draws import Draws


@dataclass(frozen=True, slots=True)
class RealPart:
    """The values of `law` as real parts, and zero imaginary parts."""

    law: Deterministic

    @property
    def largest(self) -> float:
        return self.law.largest

    def values(self, draws: Draws, start: int, stop: int) -> NDArray[np.float32]:
        import numpy as np

        first, last = start // 2, -(-stop // 2)
        parts = np.zeros((last - first, 2), np.float32)
        parts[:, 0] = self.law.values(draws, first, last)
        return parts.reshape(-1)[start - 2 * first : stop - 2 * first]


def on_complex(law: AnyLaw) -> AnyLaw:
    """The counterpart of `law` for complex tensors. Raises `Unfit` if there is none."""
    match law:
        case CopiedTensor() | PermutedRows():
            return replace(law, parts=2)
        case Sparse():
            return replace(law, std=law.std / sqrt(2), parts=2)
    return _elementwise(law)


def _elementwise(law: AnyLaw) -> Law:
    match law:
        case NotANumber():
            return law
        case Deterministic():
            return RealPart(law)
        case Normal(mean, std):
            return Normal(mean, std / sqrt(2))
        case Uniform():
            return law
        case Fused(laws, ends, inner):
            return Fused(tuple(map(_elementwise, laws)), ends, 2 * inner)
    raise Unfit("it is complex, but this law is defined only for real numbers")
