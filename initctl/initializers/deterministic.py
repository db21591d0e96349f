"""Initializers whose values follow from a formula: sinusoids, logarithms, an LSTM's bias, a Hadamard matrix."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod, sqrt
from typing import TYPE_CHECKING

from initctl.initializers.constant import Diagonals, centre_tap
from initctl.initializers.initializer import Resolved, Unfit, check_dims
from initctl.stream import Deterministic
from initctl.stream.formulas import CountedLog, Hadamard, Sinusoid

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from initctl.tensors import TensorSpec

    Floats = NDArray[np.float32]

_GATES = 4
"""Input, forget, cell and output, in torch's order: as many equal parts of an LSTM's weights and biases."""


@dataclass(frozen=True, slots=True)
class Interval(Deterministic):
    """`value` at indices `first` ≤ i < `last`, else 0."""

    first: int
    last: int
    value: float

    @property
    def largest(self) -> float:
        return abs(self.value)

    def at(self, start: int, stop: int) -> Floats:
        import numpy as np

        values = np.zeros(stop - start, np.float32)
        values[max(self.first - start, 0) : max(self.last - start, 0)] = self.value
        return values


def sinusoid(tensor: TensorSpec, *, max_timescale: float) -> Resolved:
    """Whisper's positional embedding: `sinusoids` in transformers' models/whisper/modeling_whisper.py."""
    from initctl.stream.elementary64 import LARGEST_ANGLE

    check_dims(tensor, "sinusoids take 2 dims, positions and channels", 2)
    positions, channels = tensor.shape
    if channels % 2 or channels < 4:
        raise Unfit(f"sinusoids take an even number of channels, 4 or more, and it has {channels}")
    if positions > LARGEST_ANGLE:
        raise Unfit(f"sinusoids take at most {LARGEST_ANGLE:.0f} positions, and it has {positions}")
    return Resolved(Sinusoid(channels, float(max_timescale)))


def arange_log(tensor: TensorSpec, *, start: float) -> Resolved:
    """Mamba's A_log: ln 1, ln 2, … in every row."""
    if not tensor.shape:
        raise Unfit("logarithms are counted along the last dim, and it has none", needs="ndim >= 1")
    return Resolved(CountedLog(tensor.shape[-1], float(start)))


def lstm_bias(tensor: TensorSpec, *, forget: float) -> Resolved:
    """Zeros, but `forget` for the forget gate: the second quarter of torch's four."""
    check_dims(tensor, "the bias of an LSTM has 1 dim", 1)
    (size,) = tensor.shape
    if size % _GATES:
        raise Unfit(f"the bias of an LSTM has {_GATES} equal parts, and {size} elements do not divide into them")
    hidden = size // _GATES
    return Resolved(Interval(hidden, 2 * hidden, float(forget)))


def zero_hadamard(tensor: TensorSpec) -> Resolved:
    """Zhao et al. 2021, algorithms 1 and 2, scaled as in the authors' example_mnist.ipynb.

    A partial identity where there are no more outputs than inputs; else columns of the Hadamard matrix of size 2^c,
    the smallest that has a row for each output, times 2^(-c / 2).
    """
    check_dims(tensor, "the weight of a layer has 2 dims, of a convolution 3, 4 or 5", 2, 5)
    out, into, *kernel = tensor.shape
    taps, centre = prod(kernel), centre_tap(kernel)
    if out <= into:
        return Resolved(Diagonals(centre, into * taps + taps, out))
    scale = sqrt(2.0 ** -(out - 1).bit_length())
    return Resolved(Hadamard(into, scale, taps, centre), {"scale": scale})
