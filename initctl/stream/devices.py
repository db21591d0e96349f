"""Devices by name, and when a GPU is worth starting: what planning asks, which loads no engine."""

from __future__ import annotations

CPU = "cpu"

TORCH_FLOP = 2.0e-11
"""Seconds that one floating-point operation of a QR decomposition costs with torch on a processor."""
_STARTING_CUDA = 10.0
"""Importing torch, starting a GPU and copying matrices there and back: an estimate on the safe side."""


def cuda_wins(flops: float, *, threads: int) -> bool:
    """Whether decompositions of so many operations are worth starting a GPU: nothing else is, next to copying."""
    return flops * TORCH_FLOP / threads > _STARTING_CUDA
