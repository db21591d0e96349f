"""Initializers that draw nothing: constants, and ones on the diagonals of a matrix or of a convolution's centre."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING

from initctl.initializers.initializer import Resolved, Unfit, check_dims
from initctl.stream import Constant, Deterministic

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from initctl.tensors import TensorSpec


_LARGEST_WHOLE = 2**64
"""From here on no integer type holds a whole number, and it is taken as a float."""


@dataclass(frozen=True, slots=True)
class Diagonals(Deterministic):
    """Zeros, with ones at the indices `origin + g · stride + j · step` for g < `groups` and j < `count`.

    A run of ones ends before the next begins: `(count - 1) · step` is less than `stride`, or there is one run.
    """

    origin: int
    step: int
    count: int
    groups: int = 1
    stride: int = 0

    @property
    def largest(self) -> float:
        return 1

    @property
    def exact(self) -> tuple[float, ...]:
        return 0, 1

    def at(self, start: int, stop: int) -> NDArray[np.float32]:
        import numpy as np

        values = np.zeros(stop - start, np.float32)
        reach = self.origin + (self.count - 1) * self.step
        nearest = max(0, -(-(start - reach) // self.stride)) if self.stride else 0
        beyond = max(0, -(-(stop - self.origin) // self.stride)) if self.stride else self.groups
        for group in range(nearest, min(self.groups, beyond)):
            first = self.origin + group * self.stride
            below = max(0, -(-(start - first) // self.step))
            within = min(self.count, max(0, -(-(stop - first) // self.step)))
            values[first - start + self.step * np.arange(below, within)] = 1
        return values


def constant(_: TensorSpec, *, val: float) -> Resolved:
    """`val` everywhere."""
    return Resolved(Constant(val if abs(val) < _LARGEST_WHOLE else float(val)))


def ones(tensor: TensorSpec) -> Resolved:
    """1 everywhere."""
    return constant(tensor, val=1)


def zeros(tensor: TensorSpec) -> Resolved:
    """0 everywhere."""
    return constant(tensor, val=0)


def eye(tensor: TensorSpec) -> Resolved:
    """1 on the diagonal of [rows, columns], else 0."""
    check_dims(tensor, "an identity matrix has 2 dims", 2)
    rows, columns = tensor.shape
    return Resolved(Diagonals(0, columns + 1, min(rows, columns)))


def dirac(tensor: TensorSpec, *, groups: int) -> Resolved:
    """torch.nn.init.dirac_: 1 at the centre tap where out = in channel, in each group of outputs, else 0."""
    check_dims(tensor, "the weight of a convolution has 3, 4 or 5 dims", 3, 5)
    out, into, *kernel = tensor.shape
    if out % groups:
        raise Unfit(f"its {out} output channels do not divide into {groups} groups")
    taps, outputs = prod(kernel), out // groups
    count, stride = min(outputs, into), outputs * into * taps
    return Resolved(Diagonals(centre_tap(kernel), into * taps + taps, count, groups=groups, stride=stride))


def centre_tap(kernel: Sequence[int]) -> int:
    """The index of the tap k // 2 in each dim; of a kernel without dims, the only one."""
    index = 0
    for size in kernel:
        index = index * size + size // 2
    return index
