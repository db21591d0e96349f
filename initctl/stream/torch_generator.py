"""torch's own random numbers, drawn by torch.nn.init in the order of a script, to reproduce the script's values.

torch.manual_seed(seed)
for tensor in tensors: torch.nn.init.normal_(tensor, …)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from initctl.system_errors import check_working_directory

if TYPE_CHECKING:
    from numpy.typing import NDArray


class NotDrawn(Exception):  # noqa: N818 - a fact that callers report with tensor and rule
    """torch cannot draw this. The message is torch's."""


class TorchGenerator:
    """The state of torch's generators for a seed, separate from the process's own. Draws must be made in order."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self._states: tuple[Any, Any] | None = None

    def draw(
        self, function: str, arguments: Mapping[str, Any], shape: tuple[int, ...], dtype: str, device: str
    ) -> NDArray[Any]:
        """The next values of `torch.nn.init.FUNCTION` on a tensor: float32, or float64 for a tensor of doubles.

        Raises `NotDrawn`.
        """
        check_working_directory()
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
