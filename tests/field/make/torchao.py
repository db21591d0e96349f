"""torchao: quantized subclasses of tensors in a pickle, and the same taken apart in safetensors."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torchao.prototype.safetensors.safetensors_support import flatten_tensor_state_dict, unflatten_tensor_state_dict
from torchao.quantization import Float8WeightOnlyConfig, Int8WeightOnlyConfig, quantize_

from tests.field.layout import Layout
from tests.field.make.quantized import jobs, llama, record
from tests.field.make.training import seeded

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from tests.field.layout import Record


def _model(config: object) -> torch.nn.Module:
    model = seeded(llama)
    quantize_(model, config, lambda module, name: isinstance(module, torch.nn.Linear) and "_proj" in name)
    return model


def _parts(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Plain tensors: those that a subclass consists of, under its name and theirs."""
    found = {}
    for name, tensor in state.items():
        if hasattr(tensor, "__tensor_flatten__"):
            found |= _parts({f"{name}/{part}": getattr(tensor, part) for part in tensor.__tensor_flatten__()[0]})
        else:
            found[name] = tensor
    return found


def _writes_pickle(config: object) -> Callable[[str], Record]:
    def write(folder: str) -> Record:
        state = _model(config).state_dict()
        torch.save(state, os.path.join(folder, "model.pt"))
        return record(state, "model.pt", warned=("q_proj.weight",))

    return write


def _load_pickle(path: str) -> dict[str, Tensor]:
    model = llama()
    model.load_state_dict(torch.load(path, weights_only=False), assign=True)
    return _parts(model.state_dict())


def _writes_flat(config: object) -> Callable[[str], Record]:
    def write(folder: str) -> Record:
        flat, metadata = flatten_tensor_state_dict(_model(config).state_dict())
        save_file(
            {n: t.contiguous() for n, t in flat.items()}, os.path.join(folder, "model.safetensors"), metadata=metadata
        )
        return record(flat, "model.safetensors", warned=("_weight_scale",))

    return write


def _load_flat(path: str) -> dict[str, Tensor]:
    with safe_open(path, "pt") as file:
        metadata = file.metadata()
    state, left = unflatten_tensor_state_dict(load_file(path), metadata)
    return _parts({**state, **left})


LAYOUTS = (
    Layout(
        "int8_pickle",
        _writes_pickle(Int8WeightOnlyConfig(version=2)),
        _load_pickle,
        "torch.load, torchao's subclasses",
        jobs("_proj", "out.pt"),
    ),
    Layout(
        "fp8_pickle",
        _writes_pickle(Float8WeightOnlyConfig()),
        _load_pickle,
        "torch.load, torchao's subclasses",
        jobs("_proj", "out.pt"),
    ),
    Layout(
        "fp8_safetensors",
        _writes_flat(Float8WeightOnlyConfig()),
        _load_flat,
        "unflatten_tensor_state_dict",
        jobs("scale", "out.safetensors"),
    ),
    Layout(
        "int8_safetensors",
        _writes_flat(Int8WeightOnlyConfig(version=2)),
        _load_flat,
        "unflatten_tensor_state_dict",
        jobs("scale", "out.safetensors"),
    ),
)
