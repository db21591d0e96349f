"""Initializers whose values depend on the whole tensor: orthogonal matrices and sparse columns."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, prod
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from initctl.initializers.fans import fans, layout_of
from initctl.initializers.initializer import Resolved, Unfit
from initctl.stream.laws import LARGEST_NORMAL

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from initctl.stream import Draws
    from initctl.tensors import TensorSpec

_ROWS_STREAM = 1
"""The stream of words that chooses which rows `sparse` zeroes."""
_COLUMN_TILE = 64
"""Columns whose rows `sparse` ranks at a time."""


class _WholeTensor:
    needs_whole: ClassVar[bool] = True


@dataclass(frozen=True, slots=True)
class Orthogonal(_WholeTensor):
    """Orthonormal rows or columns, whichever are fewer, times `gain`; one matrix for each batch index.

    `axes` is the order of dims that makes the tensor batch dims first, then out, then in and kernel;
    `batch`, `rows` and `columns` are the sizes after it. Equal on every machine to rounding, not to the bit: the
    QR decomposition is LAPACK's.
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

    def values(self, draws: Draws, start: int, stop: int) -> NDArray[np.float32]:
        gaussian = draws.normal01(0, prod(self.shape)).reshape(self.shape).transpose(self.axes)
        permuted_shape = gaussian.shape
        matrices = _orthonormal(gaussian.reshape(self.batch, self.rows, self.columns))
        scaled = (matrices * np.float32(self.gain)).reshape(permuted_shape)
        return np.ascontiguousarray(scaled.transpose(np.argsort(self.axes))).reshape(-1)[start:stop]


@dataclass(frozen=True, slots=True)
class DeltaOrthogonal(_WholeTensor):
    """A convolution that is orthogonal at its centre tap and zero elsewhere, times `scale`.

    `axes` brings the dims into the order out, in, kernel. The matrix comes from the first `out · in` normal draws.
    """

    shape: tuple[int, ...]
    axes: tuple[int, ...]
    scale: float

    @property
    def largest(self) -> float:
        return abs(self.scale)

    def values(self, draws: Draws, start: int, stop: int) -> NDArray[np.float32]:
        tensor = np.zeros(self.shape, np.float32)
        convolution = tensor.transpose(self.axes)
        out, into, *kernel = convolution.shape
        matrix = _orthonormal(draws.normal01(0, out * into).reshape(1, out, into))[0]
        for size in kernel:
            convolution = convolution[:, :, (size - 1) // 2]
        convolution[...] = matrix * np.float32(self.scale)
        return tensor.reshape(-1)[start:stop]


@dataclass(frozen=True, slots=True)
class Sparse(_WholeTensor):
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

    def values(self, draws: Draws, start: int, stop: int) -> NDArray[np.float32]:
        count = self.rows * self.columns
        values = np.float32(self.std) * draws.normal01(0, count * self.parts)
        if self.zeros:
            matrix = values.reshape(self.rows, self.columns, self.parts)
            words = draws.words(0, count, stream=_ROWS_STREAM).reshape(self.rows, self.columns)
            for first in range(0, self.columns, _COLUMN_TILE):
                tile = slice(first, first + _COLUMN_TILE)
                matrix[:, tile][self._smallest(words[:, tile])] = 0
        return values[start:stop]

    def _smallest(self, words: NDArray[np.uint32]) -> NDArray[np.bool_]:
        """Where the `zeros` smallest words of each column stand."""
        row = np.arange(self.rows, dtype=np.uint64)[:, np.newaxis]
        keys = (words.astype(np.uint64) << np.uint64(32)) | row
        largest_zeroed = np.partition(keys, self.zeros - 1, axis=0)[self.zeros - 1]
        return np.asarray(keys <= largest_zeroed)


def orthogonal(tensor: TensorSpec, *, gain: float, layout: str | None) -> Resolved:
    letters = layout_of(tensor.shape, layout)
    axes = _axes(letters, "boik")
    sizes = {letter: _size(tensor.shape, letters, letter) for letter in "boik"}
    return Resolved(
        Orthogonal(tensor.shape, axes, sizes["b"], sizes["o"], sizes["i"] * sizes["k"], gain), {"gain": gain}
    )


def delta_orthogonal(tensor: TensorSpec, *, scale: float, layout: str | None) -> Resolved:
    if len(tensor.shape) not in (3, 4, 5):
        raise Unfit(f"the weight of a convolution has 3, 4 or 5 dims, and it has {len(tensor.shape)}")
    letters = layout_of(tensor.shape, layout)
    if sorted(letters) != sorted("oi" + "k" * (len(letters) - 2)):
        raise Unfit(f"layout={letters} does not have one o, one i, and k for the rest")
    taps = _size(tensor.shape, letters, "k")
    fan_in, fan_out = (fan // taps for fan in fans(tensor.shape, letters))
    if fan_in > fan_out:
        raise Unfit(f"it needs at most as many inputs as outputs, and has {fan_in} and {fan_out}")
    return Resolved(DeltaOrthogonal(tensor.shape, _axes(letters, "oik"), scale), {"scale": scale})


def sparse(tensor: TensorSpec, *, sparsity: float, std: float) -> Resolved:
    if len(tensor.shape) != 2:
        raise Unfit(f"a matrix has 2 dims, and it has {len(tensor.shape)}")
    rows, columns = tensor.shape
    zeros = ceil(sparsity * rows)
    return Resolved(Sparse(rows, columns, zeros, std), {"zeros_per_column": zeros})


def _orthonormal(gaussian: NDArray[np.float32]) -> NDArray[np.float32]:
    """Orthonormal rows or columns for each matrix of a stack, uniform over all such (Mezzadri 2007).

    The sign of R's diagonal is moved into Q, as torch does it, which makes the decomposition unique.
    """
    is_wide = gaussian.shape[-2] < gaussian.shape[-1]
    q, r = np.linalg.qr(gaussian.swapaxes(-1, -2) if is_wide else gaussian)
    signs = np.where(np.diagonal(r, axis1=-2, axis2=-1) < 0, np.float32(-1), np.float32(1))
    q = q * signs[..., np.newaxis, :]
    return q.swapaxes(-1, -2) if is_wide else q


def _axes(letters: str, order: str) -> tuple[int, ...]:
    return tuple(axis for wanted in order for axis, letter in enumerate(letters) if letter == wanted)


def _size(shape: tuple[int, ...], letters: str, wanted: str) -> int:
    return prod(size for size, letter in zip(shape, letters, strict=True) if letter == wanted)
