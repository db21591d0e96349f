"""A small network for tests of stores."""

from __future__ import annotations

import torch


def tensors(seed: int = 0) -> dict[str, torch.Tensor]:
    torch.manual_seed(seed)
    return {"fc.weight": torch.randn(600, 500), "fc.bias": torch.randn(600), "out.weight": torch.randn(10, 600)}
