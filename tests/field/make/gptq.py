"""GPTQ: `qweight`, `qzeros`, `scales`, `g_idx`, packed by AutoGPTQ's `QuantLinear`.

The package itself asks for an old transformers, so that its module is loaded on its own; quantization is a plain
rounding, not the algorithm, which changes no name, shape or dtype.
"""

from __future__ import annotations

import importlib.util
import json
import os
import sys
import types
from typing import TYPE_CHECKING

import torch
from safetensors.torch import load_file, save_file
from torch import nn

from tests.field.layout import Layout
from tests.field.make.quantized import jobs, record

if TYPE_CHECKING:
    from torch import Tensor

    from tests.field.layout import Record


def bare(package: str) -> None:
    """Let modules of `package` be imported without what its own `__init__` does."""
    top = os.path.dirname(importlib.util.find_spec(package).origin)
    for part in ("", "nn_modules", "nn_modules/qlinear", "modules", "modules/linear", "utils"):
        place, name = os.path.join(top, part), ".".join([package, *part.split("/")]).strip(".")
        if os.path.isdir(place):
            sys.modules[name] = types.ModuleType(name)
            sys.modules[name].__path__ = [place.rstrip("/")]


def plain() -> nn.ModuleDict:
    """What is quantized in part."""
    torch.manual_seed(0)
    return nn.ModuleDict(
        {"embed_tokens": nn.Embedding(8, 64), "q_proj": nn.Linear(64, 64, bias=False), "norm": nn.RMSNorm(64)}
    )


def rounded(weight: Tensor) -> tuple[Tensor, Tensor]:
    """Scales and zeros of 4 bits for each row of `weight`, in one group."""
    low, high = weight.amin(1, keepdim=True), weight.amax(1, keepdim=True)
    scale = (high - low) / 15
    return scale, torch.round(-low / scale)


def saved(model: nn.Module, folder: str, config: dict[str, object]) -> Record:
    """Write `model` as a folder of transformers."""
    save_file(
        {n: t.contiguous() for n, t in model.state_dict().items()},
        os.path.join(folder, "model.safetensors"),
        {"format": "pt"},
    )
    with open(os.path.join(folder, "config.json"), "w", encoding="utf-8") as file:
        json.dump({"model_type": "llama", "quantization_config": config}, file)
    return record(model.state_dict(), warned=("scales",))


bare("auto_gptq")
from auto_gptq.nn_modules.qlinear.qlinear_cuda_old import QuantLinear  # noqa: E402


def _quantized() -> nn.ModuleDict:
    model = plain()
    layer = QuantLinear(4, 64, 64, 64, bias=False)
    scale, zero = rounded(model["q_proj"].weight.data)
    layer.pack(model["q_proj"], scale, zero, torch.zeros(64, dtype=torch.int32))
    model["q_proj"] = layer
    return model


def _write(folder: str) -> Record:
    return saved(_quantized(), folder, {"quant_method": "gptq", "bits": 4, "group_size": 64, "sym": False})


def _load(path: str) -> dict[str, Tensor]:
    model = _quantized()
    model.load_state_dict(load_file(os.path.join(path, "model.safetensors")))
    return model.state_dict()


LAYOUTS = (Layout("int4", _write, _load, "QuantLinear.load_state_dict", jobs("scales")),)
