"""MLX: quantized layers (`weight` of uint32, `scales`, `biases`) in safetensors, as mlx-lm saves them."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import mlx.core as mx
import mlx.nn as nn
import numpy as np
import torch
from mlx.utils import tree_flatten

from tests.field.layout import Layout
from tests.field.make.quantized import jobs, record

if TYPE_CHECKING:
    from torch import Tensor

    from tests.field.layout import Record


class _Model(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed_tokens = nn.Embedding(8, 64)
        self.q_proj = nn.Linear(64, 64, bias=False)
        self.o_proj = nn.Linear(64, 64, bias=False)
        self.norm = nn.RMSNorm(64)


def _model() -> _Model:
    mx.random.seed(0)
    model = _Model()
    nn.quantize(model, group_size=64, bits=4, class_predicate=lambda name, module: "_proj" in name)
    return model


def _write(folder: str) -> Record:
    state = dict(tree_flatten(_model().parameters()))
    mx.save_safetensors(os.path.join(folder, "model.safetensors"), state, metadata={"format": "mlx"})
    with open(os.path.join(folder, "config.json"), "w", encoding="utf-8") as file:
        json.dump({"model_type": "llama", "quantization": {"group_size": 64, "bits": 4}}, file)
    return record(state, warned=("scales",))


def _load(path: str) -> dict[str, Tensor]:
    model = _model()
    model.load_weights(os.path.join(path, "model.safetensors"))
    return {name: torch.from_numpy(np.array(array)) for name, array in tree_flatten(model.parameters())}


LAYOUTS = (Layout("int4", _write, _load, "Module.load_weights", jobs("biases")),)
