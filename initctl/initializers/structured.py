"""Initializers whose values depend on the whole tensor: orthogonal matrices and sparse columns."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, prod
from typing import TYPE_CHECKING, Unpack

from initctl.initializers.fans import Arrangement, Weight, layout_of, weights
from initctl.initializers.initializer import Resolved, Unfit
from initctl.stream import Normal, Table, WholeLaw, ZeroedNormal
from initctl.stream.laws import LARGEST_NORMAL
from initctl.stream.orthonormal import flops

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from initctl.stream import Law
    from initctl.stream.draws import Draws
    from initctl.tensors import TensorSpec

_FLOAT_BYTES = 4
_QR_BYTES = 44
"""Memory that a QR decomposition takes for each element, draws and result included: measured with NumPy, whose own is
computed in double precision; torch's takes half of it."""
_DRAWN_AT_ONCE = 1 << 20
_RANKING_BYTES = 256
_CUTOFF_BYTES = 8
"""Memory that ranking the rows of `sparse` takes for each row and for each column."""


@dataclass(frozen=True, slots=True)
class Orthogonal(WholeLaw):
    """Orthonormal rows or columns, whichever are fewer, times `gain`; one matrix for each batch index.

    `shape` is the tensor's, with batch dims of their own for groups and parts. `axes` is the order of its dims that
    puts batch dims first, then out, then in and kernel; `batch`, `rows` and `columns` are the sizes after it. Equal on
    every machine to rounding, not to the bit: the QR decomposition is LAPACK's.
    """

    shape: tuple[int, ...]
    axes: tuple[int, ...]
    batch: int
    rows: int
    columns: int
    gain: float

    @property
    def largest(self) -> float:
        return abs(self.gain)

    @property
    def workspace(self) -> int:
        return prod(self.shape) * _QR_BYTES

    @property
    def flops(self) -> float:
        return flops(self.batch, self.rows, self.columns)

    def prepared(self, draws: Draws) -> Table:
        import numpy as np

        gaussian = _gaussian(draws, prod(self.shape)).reshape(self.shape).transpose(self.axes)
        permuted_shape = gaussian.shape
        matrices = draws.orthonormal(gaussian.reshape(self.batch, self.rows, self.columns))
        matrices *= np.float32(self.gain)
        tensor = matrices.reshape(permuted_shape).transpose(np.argsort(self.axes))
        # rows of one matrix are laid out as they are written, by all threads; blocks of several would be, over and over
        return Table(tensor if tensor.ndim == 2 else np.ascontiguousarray(tensor))


@dataclass(frozen=True, slots=True)
class DeltaOrthogonal(WholeLaw):
    """A convolution that is orthogonal at its centre tap and zero elsewhere, times `scale`.

    `axes` brings the dims into the order out, in, kernel. The matrix comes from the first `out · in` normal draws.
    """

    shape: tuple[int, ...]
    axes: tuple[int, ...]
    scale: float

    @property
    def largest(self) -> float:
        return abs(self.scale)

    @property
    def workspace(self) -> int:
        out, into, *_ = self._permuted
        return prod(self.shape) * _FLOAT_BYTES + out * into * _QR_BYTES

    @property
    def flops(self) -> float:
        out, into, *_ = self._permuted
        return flops(1, out, into)

    @property
    def _permuted(self) -> tuple[int, ...]:
        return tuple(self.shape[axis] for axis in self.axes)

    def prepared(self, draws: Draws) -> Table:
        import numpy as np

        tensor = np.zeros(self.shape, np.float32)
        convolution = tensor.transpose(self.axes)
        out, into, *kernel = convolution.shape
        matrix = draws.orthonormal(_gaussian(draws, out * into).reshape(1, out, into))[0]
        for size in kernel:
            convolution = convolution[:, :, (size - 1) // 2]
        convolution[...] = matrix * np.float32(self.scale)
        return Table(tensor)


@dataclass(frozen=True, slots=True)
class Sparse(WholeLaw):
    """Normal values of standard deviation `std`, with `zeros` entries of each column set to zero.

    In a column, the rows whose words of a second stream are smallest become zero; among equal words the lower row.
    `parts` is 2 for complex elements, which are zeroed whole.
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
            return Normal(-0.0, self.std)  # a mean of -0 leaves every number as it is
        cutoffs = draws.kth_smallest(self.rows, self.columns, self.zeros, stream=ZeroedNormal.stream)
        return ZeroedNormal(self.std, cutoffs, self.parts)


def orthogonal(tensor: TensorSpec, *, gain: float, **arrangement: Unpack[Arrangement]) -> Resolved:
    """Saxe et al. 2013: gain · Q of a normal matrix [out, in · kernel], for each group and part its own."""
    (weight,) = weights(tensor.shape, **arrangement)
    axes = _axes(weight.letters, "boik")
    batch, rows, columns = weight.size("b"), weight.size("o"), weight.size("i") * weight.size("k")
    return Resolved(Orthogonal(weight.shape, axes, batch, rows, columns, gain), {"gain": gain})


def delta_orthogonal(tensor: TensorSpec, *, scale: float, layout: str | None) -> Resolved:
    """Xiao et al. 2018: scale · Q at the centre tap of [out, in, *kernel], in ≤ out, else 0."""
    if len(tensor.shape) not in (3, 4, 5):
        fault = f"the weight of a convolution has 3, 4 or 5 dims, and it has {len(tensor.shape)}"
        raise Unfit(fault, needs="ndim >= 3 and ndim <= 5")
    letters = layout_of(tensor.shape, layout)
    if sorted(letters) != sorted("oi" + "k" * (len(letters) - 2)):
        raise Unfit(f"layout={letters} does not have one o, one i, and k for the rest")
    inputs, outputs = map(Weight(tensor.shape, letters).size, "io")
    if inputs > outputs:
        raise Unfit(f"it needs at most as many inputs as outputs, and has {inputs} and {outputs}")
    return Resolved(DeltaOrthogonal(tensor.shape, _axes(letters, "oik"), scale), {"scale": scale})


def sparse(tensor: TensorSpec, *, sparsity: float, std: float) -> Resolved:
    """Martens 2010: N(0, std²), with ceil(sparsity · rows) rows of each column zero, 0 ≤ sparsity ≤ 1."""
    if len(tensor.shape) != 2:
        raise Unfit(f"a matrix has 2 dims, and it has {len(tensor.shape)}", needs="ndim == 2")
    rows, columns = tensor.shape
    zeros = ceil(sparsity * rows)
    return Resolved(Sparse(rows, columns, zeros, std), {"zeros_per_column": zeros})


def _gaussian(draws: Draws, count: int) -> NDArray[np.float32]:
    """The first normal draws, drawn a part at a time: the reference's temporaries are many times as large."""
    import numpy as np

    values = np.empty(count, np.float32)
    for first in range(0, count, _DRAWN_AT_ONCE):
        values[first : first + _DRAWN_AT_ONCE] = draws.normal01(first, min(first + _DRAWN_AT_ONCE, count))
    return values


def _axes(letters: str, order: str) -> tuple[int, ...]:
    return tuple(axis for wanted in order for axis, letter in enumerate(letters) if letter == wanted)
