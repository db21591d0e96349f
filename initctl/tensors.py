"""A tensor as a checkpoint's table lists it: what it is called, what it is, and where its bytes lie."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from initctl.dtypes import DType


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """One tensor of a checkpoint, without its values.

    `name` is relative to the checkpoint's root: rules match it and values derive from it. The tensor's bytes are
    `nbytes` bytes from `offset` of the file `file` (a path relative to the checkpoint's directory), little-endian and
    in row-major order.
    """

    name: str
    dtype: DType
    shape: tuple[int, ...]
    file: str
    offset: int
    nbytes: int

    @property
    def numel(self) -> int:
        """Elements; 1 for a tensor without dimensions."""
        return prod(self.shape)

    @property
    def numbers(self) -> int:
        """Real numbers stored: two for each complex element, else one."""
        return self.numel * self.dtype.parts
