"""A law of torch.nn.init, drawn from torch's own generator."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from initctl.stream.deterministic_laws import Table
from initctl.stream.protocols import WholeLaw
from initctl.stream.torch_generator import NotDrawn

if TYPE_CHECKING:
    from initctl.stream.draws import Draws

_COPIES = 3
"""Copies in memory: the tensor in its dtype, as float32 or float64, and torch's temporary memory."""


@dataclass(frozen=True, slots=True)
class TorchDraw(WholeLaw):
    """The values that `torch.nn.init.FUNCTION(tensor, **arguments)` writes to a tensor of `shape` on `device`.

    The tensor may be some rows of another, from its element `origin` on.
    """

    function: str
    arguments: Mapping[str, Any]
    shape: tuple[int, ...]
    dtype: str
    device: str
    origin: int = 0

    @property
    def largest(self) -> float:
        return 0.0

    @property
    def workspace(self) -> int:
        return prod(self.shape) * np.dtype(np.float64).itemsize * _COPIES

    def prepared(self, draws: Draws) -> Table:
        if draws.generator is None:
            raise NotDrawn("torch's generator is not available")
        drawn = draws.generator.draw(self.function, self.arguments, self.shape, self.dtype, self.device)
        return Table(drawn, self.origin)
