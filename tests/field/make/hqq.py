"""HQQ: the state dict of `HQQLinear`, in which a layer is `W_q` and what belongs to it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import torch
from hqq.core.quantize import BaseQuantizeConfig, HQQLinear
from safetensors.torch import load_file, save_file
from torch import nn

from tests.field.layout import Layout
from tests.field.make.quantized import jobs, record
from tests.field.make.training import seeded

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from tests.field.layout import Record


def _plain() -> nn.ModuleDict:
    layers = {
        "embed": nn.Embedding(8, 16),
        "q_proj": nn.Linear(16, 16, bias=False),
        "norm": nn.LayerNorm(16, bias=False),
    }
    return nn.ModuleDict(layers)


def _model() -> nn.ModuleDict:
    model = seeded(_plain)
    config = BaseQuantizeConfig(nbits=4, group_size=16)
    model["q_proj"] = HQQLinear(model["q_proj"], config, compute_dtype=torch.float32, device="cpu")
    return model


def _writes(form: str) -> Callable[[str], Record]:
    def write(folder: str) -> Record:
        model = _model()
        if form == "pt":
            torch.save(model.state_dict(), os.path.join(folder, "model.pt"))
            return record(model.state_dict(), "model.pt", warned=("scale",))
        model["q_proj"].encoded_state_dict = True
        state = model.state_dict()
        save_file(state, os.path.join(folder, "model.safetensors"))
        return record(state, "model.safetensors", warned=("scale",))

    return write


def _load(path: str) -> dict[str, Tensor]:
    model = _model()
    state = load_file(path) if path.endswith(".safetensors") else torch.load(path, weights_only=False)
    model.load_state_dict(state)
    found = {name: tensor for name, tensor in model.state_dict().items() if isinstance(tensor, torch.Tensor)}
    return {**found, "q_proj.dequantized": model["q_proj"].dequantize()}


LAYOUTS = (
    Layout("pickle", _writes("pt"), _load, "HQQLinear.load_state_dict", jobs("scale", "out.pt")),
    Layout("safetensors", _writes("st"), _load, "HQQLinear.load_state_dict", jobs("scale", "out.safetensors")),
)
