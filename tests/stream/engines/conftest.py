"""The engines, each made once."""

from __future__ import annotations

from functools import partial

import pytest
import torch

from initctl.stream.engines import Engine
from initctl.stream.engines.device import TorchEngine, orthonormal_on
from initctl.stream.engines.joined import JoinedEngine

NO_GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")


def torch_engine(device: str) -> TorchEngine:
    return TorchEngine(device, Engine(partial(orthonormal_on, device=device)))


@pytest.fixture(
    scope="session", params=["joined", "compiled", "torch on cpu", pytest.param("torch on cuda", marks=NO_GPU)]
)
def engine(request: pytest.FixtureRequest) -> Engine:
    """Each engine but the reference."""
    kind, _, device = request.param.partition(" on ")
    if kind == "joined":
        return JoinedEngine()
    return torch_engine(device) if kind == "torch" else request.getfixturevalue("compiled")
