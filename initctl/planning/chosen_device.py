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

    `auto` takes a GPU for QR decompositions alone, if they are large enough and there is one. Raises `UsageError` if
    torch knows no such device, `StorageError` if it is not there.
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
