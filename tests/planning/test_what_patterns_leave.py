"""What a wildcard never changes: optimizers, quantized weights and what belongs to them, masks, masters.

Checkpoints are drawn from the layouts that trainers and quantizers write. Each part of one knows which of its tensors
a wildcard may fill and which it may not, without asking the package.
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

import initctl

Tensors = dict[str, torch.Tensor]
ROWS, COLUMNS = 8, 8


class Part(NamedTuple):
    """Tensors by name: those that a wildcard fills, and those that it must leave."""

    filled: Tensors
    left: Tensors


def codes(*shape: int, dtype: torch.dtype = torch.int32) -> torch.Tensor:
    return torch.ones(shape, dtype=dtype)


def numbers(*shape: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.rand(shape).to(dtype)


SCHEMES: dict[str, Tensors] = {
    "fp8, block": {"weight": numbers(ROWS, COLUMNS).to(torch.float8_e4m3fn), "weight_scale_inv": numbers(1, 1)},
    "fp8, per tensor": {
        "weight": numbers(ROWS, COLUMNS).to(torch.float8_e4m3fn), "weight_scale": numbers(1), "input_scale": numbers(1),
    },
    "gptq": {
        "qweight": codes(1, ROWS), "qzeros": codes(1, 1), "scales": numbers(1, ROWS, dtype=torch.float16),
        "g_idx": codes(COLUMNS),
    },
    "awq": {"qweight": codes(COLUMNS, 1), "qzeros": codes(1, 1), "scales": numbers(1, ROWS, dtype=torch.float16)},
    "bitsandbytes, 4 bit": {
        "weight": codes(32, 1, dtype=torch.uint8), "weight.absmax": codes(1, dtype=torch.uint8),
        "weight.quant_map": numbers(16), "weight.nested_absmax": numbers(1), "weight.nested_quant_map": numbers(256),
        "weight.quant_state.bitsandbytes__nf4": codes(80, dtype=torch.uint8),
    },
    "bitsandbytes, 8 bit": {
        "weight": codes(ROWS, COLUMNS, dtype=torch.int8), "SCB": numbers(ROWS),
        "weight_format": codes(dtype=torch.uint8),
    },
    "compressed-tensors, packed": {
        "weight_packed": codes(ROWS, 1), "weight_scale": numbers(ROWS, 1, dtype=torch.bfloat16),
        "weight_shape": codes(2, dtype=torch.int64),
    },
    "compressed-tensors, int8": {
        "weight": codes(ROWS, COLUMNS, dtype=torch.int8), "weight_scale": numbers(ROWS, 1),
        "weight_zero_point": codes(ROWS, 1, dtype=torch.int8), "input_scale": numbers(1),
    },
    "NVFP4": {
        "weight": codes(ROWS, COLUMNS // 2, dtype=torch.uint8),
        "weight_scale": numbers(ROWS, 1).to(torch.float8_e4m3fn), "weight_scale_2": numbers(), "input_scale": numbers(),
    },
    "HQQ": {"W_q": codes(4, COLUMNS, dtype=torch.uint8), "scale": numbers(ROWS, 1), "zero": numbers(ROWS, 1)},
    "MLX": {
        "weight": codes(ROWS, 1, dtype=torch.uint32), "scales": numbers(ROWS, 1, dtype=torch.float16),
        "biases": numbers(ROWS, 1, dtype=torch.float16),
    },
}  # fmt: skip
"""What one linear layer is kept as, below the layer's name."""


def layer(name: str, scheme: str, *, bias: bool) -> Part:
    """A quantized layer; its bias is a parameter as any other."""
    left = {f"{name}.{key}": tensor.clone() for key, tensor in SCHEMES[scheme].items()}
    return Part({f"{name}.bias": numbers(ROWS)} if bias else {}, left)


def mxfp4(name: str) -> Part:
    left = {
        f"{name}.gate_up_proj_blocks": codes(2, ROWS, 1, 16, dtype=torch.uint8),
        f"{name}.gate_up_proj_scales": codes(2, ROWS, 1, dtype=torch.uint8),
    }
    return Part({f"{name}.gate_up_proj_bias": numbers(2, ROWS)}, left)


def plain(name: str) -> Part:
    """Parameters, some of them called as companions are elsewhere."""
    names = {"weight": (ROWS, COLUMNS), "bias": (ROWS,), "scale": (ROWS,), "scales": (ROWS,), "zero": (1,)}
    return Part({f"{name}.{key}": numbers(*shape) for key, shape in names.items()}, {})


def masks(name: str) -> Part:
    left = {
        f"{name}.mask": torch.ones(4, 4, dtype=torch.bool),
        f"{name}.position_ids": torch.arange(4),
        f"{name}.num_batches_tracked": torch.tensor(3),
    }
    return Part({}, left)


def moments(tensor: torch.Tensor) -> dict[str, torch.Tensor]:
    return {"exp_avg": torch.rand_like(tensor, dtype=torch.float32), "exp_avg_sq": torch.rand(tensor.shape)}


def by_number(tensors: Tensors) -> dict[str, object]:
    """An optimizer as torch saves it."""
    state = {n: {"step": torch.tensor(3.0), **moments(t)} for n, t in enumerate(tensors.values())}
    return {"state": state, "param_groups": [{"lr": 0.1, "params": list(state)}]}


def flat_by_name(tensors: Tensors, prefix: str) -> Tensors:
    """`flatten_optimizer_state_dict=True` of torch.distributed.checkpoint."""
    return {f"{prefix}.state.{name}.{kind}": m for name, t in tensors.items() for kind, m in moments(t).items()}


def flat_by_kind(tensors: Tensors, prefix: str) -> Tensors:
    """Megatron-core, its float32 masters among them."""
    kept = {name: {**moments(t), "fp32_param": t.float().clone()} for name, t in tensors.items()}
    return {f"{prefix}.state.{kind}.{name}": m for name, kinds in kept.items() for kind, m in kinds.items()}


SPELLINGS = {
    "none": lambda model: {"model": model},
    "torch": lambda model: {"model": model, "optimizer": by_number(model)},
    "Lightning": lambda model: {"state_dict": model, "optimizer_states": [by_number(model)]},
    "fairseq": lambda model: {"model": model, "last_optimizer_state": by_number(model)},
    "Megatron-LM": lambda model: {
        "model": model,
        "optimizer": {
            "optimizer": by_number(model), "fp32_from_fp16_params": [[t.float().clone() for t in model.values()]],
        },
    },
    "flat, by name": lambda model: {**model, **flat_by_name(model, "optimizer")},
    "flat, by name, elsewhere": lambda model: {**model, **flat_by_name(model, "optim")},
    "flat, by kind": lambda model: {**model, **flat_by_kind(model, "optimizer")},
    "flat, by kind, chained": lambda model: {**model, **flat_by_kind(model, "chained_0.optimizer")},
}  # fmt: skip
"""What a file of torch.save holds beside a model, and where the model is."""


PLAIN, MASKED, MIXED = "plain", "masks", "MXFP4"
LAYERS = st.lists(st.sampled_from([*SCHEMES, PLAIN, MASKED, MIXED]), min_size=1, max_size=4)


def model(kinds: list[str]) -> Part:
    """A model of one layer for each of `kinds`, after a plain one."""
    parts = [plain("model.layers.0")]
    for number, kind in enumerate(kinds, start=1):
        name = f"model.layers.{number}"
        others = {PLAIN: plain, MASKED: masks, MIXED: mxfp4}
        parts.append(others[kind](name) if kind in others else layer(name, kind, bias=number % 2 == 0))
    filled = {name: tensor for part in parts for name, tensor in part.filled.items()}
    left = {name: tensor for part in parts for name, tensor in part.left.items()}
    return Part(filled, left)


@settings(max_examples=60, deadline=None)
@given(LAYERS, st.sampled_from(["*", "**", "model.*", "*.{0..9}.*", "re:.*"]))
def test_a_wildcard_fills_each_plain_parameter_and_nothing_of_a_quantized_weight(kinds: list[str], pattern: str):
    made = model(kinds)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "model.safetensors"
        save_file(made.filled | made.left, path)
        plan = initctl.plan(path, rules=[f"{pattern}=normal:std=0.02"])
        assert {action.tensor.name for action in plan.actions} == set(made.filled)


@settings(max_examples=60, deadline=None)
@given(LAYERS, st.sampled_from(list(SPELLINGS)))
def test_a_wildcard_changes_nothing_of_an_optimizer_or_of_masters(kinds: list[str], spelling: str):
    made = model(kinds)
    with TemporaryDirectory() as folder:
        path, out = Path(folder) / "c.pt", Path(folder) / "out.pt"
        torch.save(SPELLINGS[spelling](made.filled | made.left), path)
        initctl.apply(path, out, rules=["*=normal:std=0.02"])
        before, after = (flat(torch.load(file, weights_only=True)) for file in (path, out))
        changed = {key for key in before if not same(before[key], after[key])}
        assert {key[key.find("model.layers") :] for key in changed} == set(made.filled)
        assert not {key for key in changed if "optim" in key}


def flat(value: object, prefix: str = "") -> Tensors:
    """All tensors in what was saved, by their keys."""
    if isinstance(value, torch.Tensor):
        return {prefix: value}
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    join = f"{prefix}." if prefix else ""
    return {name: tensor for key, inner in pairs for name, tensor in flat(inner, f"{join}{key}").items()}


def same(one: torch.Tensor, other: torch.Tensor) -> bool:
    return torch.equal(one.contiguous().view(-1).view(torch.uint8), other.contiguous().view(-1).view(torch.uint8))
