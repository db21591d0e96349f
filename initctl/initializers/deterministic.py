"""Initializers without random numbers: constants, diagonals, and formulas of the index."""

from __future__ import annotations

from collections.abc import Sequence
from math import log, log1p, prod, sqrt
from typing import TYPE_CHECKING

from initctl.initializers.initializer import Resolved, Unfit, check_dims
from initctl.stream import Constant, NotANumber
from initctl.stream.deterministic_laws import CountedLog, Diagonals, Hadamard, Interval, Sinusoid
from initctl.stream.laws import nearest_float32

if TYPE_CHECKING:
    from initctl.tensors import TensorSpec

_LARGEST_WHOLE = 2**64
"""Larger whole numbers are taken as floats: no integer type holds them."""
_GATES = 4
"""The equal parts of an LSTM's weights and biases: input, forget, cell and output, in torch's order."""


def constant(_: TensorSpec, *, val: float) -> Resolved:
    return Resolved(Constant(val if abs(val) < _LARGEST_WHOLE else float(val)))


def nan(_: TensorSpec) -> Resolved:
    return Resolved(NotANumber())


def bias_from_prob(_: TensorSpec, *, p: float) -> Resolved:
    """Lin et al. 2017: the bias from which a sigmoid gives `p`. Rounded, so that it is the same on every processor."""
    val = nearest_float32(log(p) - log1p(-p))
    return Resolved(Constant(val), {"val": val})


def eye(tensor: TensorSpec) -> Resolved:
    check_dims(tensor, "an identity matrix has 2 dims", 2)
    rows, columns = tensor.shape
    return Resolved(Diagonals(0, columns + 1, min(rows, columns)))


def dirac(tensor: TensorSpec, *, groups: int) -> Resolved:
    check_dims(tensor, "the weight of a convolution has 3, 4 or 5 dims", 3, 5)
    out, into, *kernel = tensor.shape
    if out % groups:
        raise Unfit(f"its {out} output channels cannot be divided into {groups} groups")
    taps, outputs = prod(kernel), out // groups
    count, stride = min(outputs, into), outputs * into * taps
    return Resolved(Diagonals(_centre_tap(kernel), into * taps + taps, count, groups=groups, stride=stride))


def sinusoid(tensor: TensorSpec, *, max_timescale: float) -> Resolved:
    """Whisper's positional embedding: `sinusoids` in transformers' models/whisper/modeling_whisper.py."""
    from initctl.stream.elementary64 import LARGEST_ANGLE

    check_dims(tensor, "sinusoids have 2 dims, positions and channels", 2)
    positions, channels = tensor.shape
    if channels % 2 or channels < 4:
        raise Unfit(f"sinusoids need an even number of channels, 4 or more, but it has {channels}")
    if positions > LARGEST_ANGLE:
        raise Unfit(f"sinusoids have at most {LARGEST_ANGLE:.0f} positions, but it has {positions}")
    return Resolved(Sinusoid(channels, float(max_timescale)))


def arange_log(tensor: TensorSpec, *, start: float) -> Resolved:
    if not tensor.shape:
        raise Unfit("it has no dims, so there is no last dim to count along", needs="ndim >= 1")
    return Resolved(CountedLog(tensor.shape[-1], float(start)))


def lstm_bias(tensor: TensorSpec, *, forget: float) -> Resolved:
    check_dims(tensor, "the bias of an LSTM has 1 dim", 1)
    (size,) = tensor.shape
    if size % _GATES:
        raise Unfit(f"the bias of an LSTM has {_GATES} equal parts, but {size} elements cannot be divided by {_GATES}")
    hidden = size // _GATES
    return Resolved(Interval(hidden, 2 * hidden, float(forget)))


def zero_hadamard(tensor: TensorSpec) -> Resolved:
    """Zhao et al. 2021, algorithms 1 and 2, scaled as in the authors' example_mnist.ipynb.

    If out ≤ in, a partial identity; else columns of the smallest Hadamard matrix with a row for each output, of size
    2^c, times 2^(-c / 2).
    """
    check_dims(tensor, "the weight of a layer has 2 dims, of a convolution 3, 4 or 5", 2, 5)
    out, into, *kernel = tensor.shape
    taps, centre = prod(kernel), _centre_tap(kernel)
    if out <= into:
        return Resolved(Diagonals(centre, into * taps + taps, out))
    scale = sqrt(2.0 ** -(out - 1).bit_length())
    return Resolved(Hadamard(into, scale, taps, centre), {"scale": scale})


def _centre_tap(kernel: Sequence[int]) -> int:
    """The index of the tap k // 2 in each dim; of a kernel without dims, the only one."""
    index = 0
    for size in kernel:
        index = index * size + size // 2
    return index
