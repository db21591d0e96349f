"""The name of the processor, and when a GPU is worth starting. Planning uses it without loading an engine."""

from __future__ import annotations

CPU = "cpu"

TORCH_FLOP = 2.0e-11
"""Seconds for one floating-point operation of a QR decomposition with torch on a processor."""
_STARTING_CUDA = 10.0
"""Seconds to import torch, start a GPU, and copy matrices there and back: a high estimate."""


def cuda_wins(flops: float, *, threads: int) -> bool:
    """Whether decompositions of `flops` operations are worth starting a GPU. For other work, copying costs more."""
    return flops * TORCH_FLOP / threads > _STARTING_CUDA
