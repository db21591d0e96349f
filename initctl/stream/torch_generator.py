"""torch's own random numbers, drawn by torch.nn.init in the order of a script: the way to move one over unchanged.

torch.manual_seed(seed)
for tensor in tensors: torch.nn.init.normal_(tensor, …)
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from initctl.stream.laws import Table, WholeFill

if TYPE_CHECKING:
    from collections.abc import Mapping

    from initctl.stream.draws import Draws

_COPIES = 3
"""A tensor in its own dtype, once more as float32 or float64, and what torch needs on the way."""


class NotDrawn(Exception):  # noqa: N818 - a fact that is told with tensor and rule
    """torch cannot draw this: the message is its own."""


@dataclass(frozen=True, slots=True)
class TorchDraw(WholeFill):
    """What `torch.nn.init.FUNCTION(tensor, **arguments)` writes into a tensor of a shape and dtype, on a device.

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
            raise NotDrawn("there is no generator of torch here")
        return Table(draws.generator.draw(self), self.origin)


class TorchGenerator:
    """The state of torch's generators under a seed, apart from that of the process. Draws must come in order."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self._states: tuple[Any, Any] | None = None

    def draw(self, fill: TorchDraw) -> np.ndarray[Any, Any]:
        """The next numbers: float32, or float64 of a tensor of doubles. Raises `NotDrawn`."""
        import torch

        is_cuda = fill.device.startswith("cuda")
        with torch.random.fork_rng(devices=range(torch.cuda.device_count()) if is_cuda else ()):
            if self._states is None:
                torch.manual_seed(self.seed)
            else:
                self._restore(is_cuda=is_cuda)
            try:
                tensor = torch.empty(fill.shape, dtype=getattr(torch, fill.dtype), device=fill.device)
                getattr(torch.nn.init, fill.function)(tensor, **fill.arguments)
            except (RuntimeError, NotImplementedError, ValueError) as error:
                raise NotDrawn(str(error)) from error
            self._states = torch.get_rng_state(), torch.cuda.get_rng_state_all() if is_cuda else None
        wide = tensor if tensor.dtype == torch.float64 else tensor.to(torch.float32)
        return np.asarray(wide.cpu().numpy())

    def _restore(self, *, is_cuda: bool) -> None:
        import torch

        if self._states is not None:
            torch.set_rng_state(self._states[0])
            if is_cuda and self._states[1] is not None:
                torch.cuda.set_rng_state_all(self._states[1])
