"""Which device computes which action."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from initctl.errors import StorageError
from initctl.stream import WholeLaw
from initctl.stream.devices import CPU, cuda_wins
from initctl.threads import processors

if TYPE_CHECKING:
    from initctl.planning.action import Action

AUTO = "auto"


def with_devices(actions: Sequence[Action], device: str) -> list[Action]:
    """`actions` with their device set: `cpu`, any device that torch knows, or `auto`, the fastest for each.

    `auto` uses a GPU only for QR decompositions, if there is one and they are large enough. Raises `UsageError` if
    torch does not know the device, `StorageError` if the machine does not have it.
    """
    if device == AUTO:
        is_faster = cuda_wins(sum(map(_flops, actions)), threads=processors()) and _has_cuda()
        return [action._replace(device="cuda") if is_faster and _flops(action) else action for action in actions]
    if device == CPU:
        return list(actions)
    from initctl.stream.engines.device import torch_device

    name = str(torch_device(device))
    return [action._replace(device=name) for action in actions]


def _flops(action: Action) -> float:
    return action.law.flops if isinstance(action.law, WholeLaw) else 0


def _has_cuda() -> bool:
    """Whether there is a GPU that works."""
    import torch

    from initctl.stream.engines.device import torch_device

    with suppress(StorageError):
        return torch.cuda.is_available() and torch_device("cuda").type == "cuda"
    return False
