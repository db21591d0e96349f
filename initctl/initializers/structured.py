"""Initializers whose values depend on the whole tensor: orthogonal matrices and sparse columns."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, prod
from typing import TYPE_CHECKING, Unpack

from initctl.initializers.fans import Arrangement, Weight, layout_of, weights
from initctl.initializers.initializer import Resolved, Unfit, check_dims
from initctl.stream import Law, Normal, Table, WholeLaw, ZeroedNormal
from initctl.stream.laws import LARGEST_NORMAL
from initctl.stream.orthonormal import flops

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from initctl.stream.draws import Draws
    from initctl.tensors import TensorSpec

_FLOAT_BYTES = 4
_QR_BYTES = 44
"""Memory of a QR decomposition for each element, including draws and result: measured with NumPy, which computes in
double precision; torch needs half of it."""
_DRAWN_AT_ONCE = 1 << 20
_RANKING_BYTES = 256
_CUTOFF_BYTES = 8
"""Memory for ranking the rows of `sparse`, for each row and for each column."""


@dataclass(frozen=True, slots=True)
class Orthogonal(WholeLaw):
    """Orthonormal rows or columns, whichever are fewer, times `gain`; one matrix for each batch index.

    The tensor holds `weight`, which has batch dims for groups and parts. Equal on every machine up to rounding, not to
    the bit: the QR decomposition is LAPACK's.
    """

    weight: Weight
    gain: float

    @property
    def largest(self) -> float:
        return abs(self.gain)

    @property
    def workspace(self) -> int:
        return prod(self.weight.shape) * _QR_BYTES

    @property
    def flops(self) -> float:
        return flops(*self._sizes)

    @property
    def _sizes(self) -> tuple[int, int, int]:
        """The number of matrices, their rows and their columns."""
        return self.weight.size("b"), self.weight.size("o"), self.weight.size("i") * self.weight.size("k")

    def prepared(self, draws: Draws) -> Table:
        import numpy as np

        shape, axes = self.weight.shape, _axes(self.weight, "boik")
        gaussian = _gaussian(draws, prod(shape)).reshape(shape).transpose(axes)
        matrices = draws.orthonormal(gaussian.reshape(self._sizes))
        matrices *= np.float32(self.gain)
        tensor = matrices.reshape(gaussian.shape).transpose(np.argsort(axes))
        # one matrix is copied into row order by all threads while it is written; several are copied once, here
        return Table(tensor if tensor.ndim == 2 else np.ascontiguousarray(tensor))


@dataclass(frozen=True, slots=True)
class DeltaOrthogonal(Orthogonal):
    """A convolution that is orthogonal at its center tap and zero elsewhere, times `gain`.

    The matrix comes from the first `out · in` normal draws.
    """

    @property
    def workspace(self) -> int:
        return prod(self.weight.shape) * _FLOAT_BYTES + prod(self._sizes) * _QR_BYTES

    @property
    def _sizes(self) -> tuple[int, int, int]:
        return 1, self.weight.size("o"), self.weight.size("i")

    def prepared(self, draws: Draws) -> Table:
        import numpy as np

        tensor = np.zeros(self.weight.shape, np.float32)
        convolution = tensor.transpose(_axes(self.weight, "oik"))
        (matrix,) = draws.orthonormal(_gaussian(draws, prod(self._sizes)).reshape(self._sizes))
        for size in convolution.shape[2:]:
            convolution = convolution[:, :, (size - 1) // 2]
        convolution[...] = matrix * np.float32(self.gain)
        return Table(tensor)


@dataclass(frozen=True, slots=True)
class Sparse(WholeLaw):
    """Normal values of standard deviation `std`, with `zeros` entries of each column set to zero.

    In a column, the rows with the smallest words of a second stream become zero; of equal words, the lower row.
    `parts` is 2 for complex elements, which become zero as a whole.
    """

    rows: int
    columns: int
    zeros: int
    std: float
    parts: int = 1

    @property
    def largest(self) -> float:
        return LARGEST_NORMAL * self.std

    @property
    def workspace(self) -> int:
        return self.rows * _RANKING_BYTES + self.columns * _CUTOFF_BYTES

    def prepared(self, draws: Draws) -> Law:
        if not self.zeros:
            return Normal(-0.0, self.std)  # adding -0 changes no number
        cutoffs = draws.kth_smallest(self.rows, self.columns, self.zeros, stream=ZeroedNormal.stream)
        return ZeroedNormal(self.std, cutoffs, self.parts)


def orthogonal(tensor: TensorSpec, *, gain: float, **arrangement: Unpack[Arrangement]) -> Resolved:
    """Saxe et al. 2013: gain · Q of a normal matrix [out, in · kernel], one for each group and part."""
    (weight,) = weights(tensor.shape, **arrangement)
    return Resolved(Orthogonal(weight, gain), {"gain": gain})


def delta_orthogonal(tensor: TensorSpec, *, scale: float, layout: str | None) -> Resolved:
    """Xiao et al. 2018: scale · Q at the center tap of [out, in, *kernel], in ≤ out, else 0."""
    check_dims(tensor, "the weight of a convolution has 3, 4 or 5 dims", 3, 5)
    letters = layout_of(tensor.shape, layout)
    if sorted(letters) != sorted("oi" + "k" * (len(letters) - 2)):
        raise Unfit(f"layout={letters} does not have one o, one i, and k for the rest")
    weight = Weight(tensor.shape, letters)
    inputs, outputs = map(weight.size, "io")
    if inputs > outputs:
        raise Unfit(f"it has more inputs ({inputs}) than outputs ({outputs})")
    return Resolved(DeltaOrthogonal(weight, scale), {"scale": scale})


def sparse(tensor: TensorSpec, *, sparsity: float, std: float) -> Resolved:
    check_dims(tensor, "a matrix has 2 dims", 2)
    rows, columns = tensor.shape
    zeros = ceil(sparsity * rows)
    return Resolved(Sparse(rows, columns, zeros, std), {"zeros_per_column": zeros})


def _gaussian(draws: Draws, count: int) -> NDArray[np.float32]:
    """The first normal draws, computed in pieces: the reference's temporaries are many times as large."""
    import numpy as np

    values = np.empty(count, np.float32)
    for first in range(0, count, _DRAWN_AT_ONCE):
        values[first : first + _DRAWN_AT_ONCE] = draws.normal01(first, min(first + _DRAWN_AT_ONCE, count))
    return values


def _axes(weight: Weight, order: str) -> tuple[int, ...]:
    """The dims of `weight`, sorted by their letters in this order."""
    return tuple(axis for wanted in order for axis, letter in enumerate(weight.letters) if letter == wanted)
