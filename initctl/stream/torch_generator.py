"""torch's own random numbers, drawn by torch.nn.init in the order of a script: the way to move one over unchanged.

torch.manual_seed(seed)
for tensor in tensors: torch.nn.init.normal_(tensor, …)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


class NotDrawn(Exception):  # noqa: N818 - a fact that is told with tensor and rule
    """torch cannot draw this: the message is its own."""


class TorchGenerator:
    """The state of torch's generators under a seed, apart from that of the process. Draws must come in order."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self._states: tuple[Any, Any] | None = None

    def draw(
        self, function: str, arguments: Mapping[str, Any], shape: tuple[int, ...], dtype: str, device: str
    ) -> NDArray[Any]:
        """What `torch.nn.init.FUNCTION` gives next on a tensor: float32, or float64 of one of doubles.

        Raises `NotDrawn`.
        """
        import torch

        is_cuda = device.startswith("cuda")
        with torch.random.fork_rng(devices=range(torch.cuda.device_count()) if is_cuda else ()):
            if self._states is None:
                torch.manual_seed(self.seed)
            else:
                torch.set_rng_state(self._states[0])
                if is_cuda and self._states[1] is not None:
                    torch.cuda.set_rng_state_all(self._states[1])
            try:
                tensor = torch.empty(shape, dtype=getattr(torch, dtype), device=device)
                getattr(torch.nn.init, function)(tensor, **arguments)
            except (RuntimeError, NotImplementedError, ValueError) as error:
                raise NotDrawn(str(error)) from error
            self._states = torch.get_rng_state(), torch.cuda.get_rng_state_all() if is_cuda else None
        wide = tensor if tensor.dtype == torch.float64 else tensor.to(torch.float32)
        return np.asarray(wide.cpu().numpy())
