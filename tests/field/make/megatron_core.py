"""Megatron-core: `dist_checkpointing.save` of a GPT with its mixed-precision optimizer, which keeps masters."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING
from unittest import mock

import torch
import torch.distributed as dist
from megatron.core import dist_checkpointing, parallel_state
from megatron.core.models.gpt import GPTModel
from megatron.core.models.gpt.gpt_layer_specs import get_gpt_layer_local_spec
from megatron.core.optimizer import OptimizerConfig
from megatron.core.optimizer.optimizer import Float16OptimizerWithFloat16Params
from megatron.core.transformer.transformer_config import TransformerConfig

from tests.field.layout import Job, Layout, Record
from tests.field.make.training import seeded

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

_PLACE = {"RANK": "0", "WORLD_SIZE": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29655"}


def _started() -> None:
    """One rank of gloo, unless it runs already."""
    if not dist.is_initialized():
        os.environ.update(_PLACE)
        dist.init_process_group("gloo")
        parallel_state.initialize_model_parallel()


@contextmanager
def _on_cpu() -> Iterator[None]:
    """Megatron's optimizer asks for tensors of CUDA; here, those of the CPU pass for such."""
    kind, tensor = torch.Tensor.type, torch.tensor
    named = lambda t, *a, **k: kind(t, *a, **k) if a or k else kind(t).replace("torch.", "torch.cuda.")  # noqa: E731
    plain = lambda *a, **k: tensor(*a, **{**k, "device": "cpu"})  # noqa: E731
    cuda = {"synchronize": lambda *_: None, "current_device": lambda: 0}
    kinds, made = mock.patch.object(torch.Tensor, "type", named), mock.patch.object(torch, "tensor", plain)
    with kinds, made, mock.patch.multiple(torch.cuda, **cuda):
        yield


def _gpt() -> GPTModel:
    sizes = {"num_layers": 1, "hidden_size": 4, "num_attention_heads": 2}
    config = TransformerConfig(**sizes, use_cpu_initialization=True, gradient_accumulation_fusion=False)
    return GPTModel(config, get_gpt_layer_local_spec(), vocab_size=8, max_sequence_length=4)


def _model() -> GPTModel:
    _started()
    return seeded(_gpt).bfloat16()


def _optimizer(model: GPTModel) -> Float16OptimizerWithFloat16Params:
    config = OptimizerConfig(optimizer="adam", lr=0.01, bf16=True)
    with _on_cpu():
        made = Float16OptimizerWithFloat16Params(torch.optim.Adam(model.parameters()), config, None, lambda *_: None)
    for group in made.fp32_from_float16_groups:
        for master in group:
            master.grad = torch.ones_like(master)
    made.optimizer.step()
    made._copy_main_params_to_model_params()
    return made


def _sharded(model: GPTModel, optimizer: Float16OptimizerWithFloat16Params | None) -> dict[str, object]:
    """As Megatron-LM's `generate_state_dict`; each sharded tensor has its own key, which `model` is no part of."""
    weights = model.sharded_state_dict()
    state = {"model": weights, "iteration": 1, "checkpoint_version": 3.0}
    return state | ({"optimizer": optimizer.sharded_state_dict(weights)} if optimizer else {})


def _write(folder: str) -> Record:
    model = _model()
    state = _sharded(model, _optimizer(model))
    with _on_cpu():
        dist_checkpointing.save(state, folder)
    names = {
        tensor.key
        for tensor in model.sharded_state_dict().values()
        if hasattr(tensor, "key") and "extra_state" not in tensor.key
    }
    return Record("", "", tuple(sorted(names)), warned=("fp32_param",))


def _load(path: str) -> dict[str, Tensor]:
    """Every tensor of the directory, by Megatron's own loader of plain tensors."""
    _started()
    return {name: t for name, t in dist_checkpointing.load_plain_tensors(path).items() if isinstance(t, torch.Tensor)}


_HEAD = ("-r", "output_layer.weight=normal:std=0.01")

LAYOUTS = (
    Layout(
        "torch_dist",
        _write,
        _load,
        "dist_checkpointing.load_plain_tensors",
        (
            Job("reset the head", _HEAD, ("output_layer.weight",), warned="fp32_param"),
            Job(
                "a wildcard",
                ("-r", "*.weight=normal:std=0.02"),
                ("[!o]*.weight", "output_layer.weight"),
                warned="fp32_param",
            ),
            Job("with its optimizer", (*_HEAD, "--reset-optimizer"), ("*output_layer.weight",)),
            Job("preset, without the number of layers", ("-p", "megatron"), refused="num_hidden_layers"),
        ),
    ),
)
