"""Fans that a rule counts the wrong way round are warned of."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
from safetensors.torch import save_file

import initctl

if TYPE_CHECKING:
    from pathlib import Path

CONV1D = {"attn.c_attn": (64, 192), "attn.c_proj": (64, 64), "mlp.c_fc": (64, 256), "mlp.c_proj": (256, 64)}
"""The modules of a layer of GPT-2, and the shapes of their weights: inputs before outputs."""


def warned(path: Path, tensors: dict[str, tuple[int, ...]], *rules: str, **given: object) -> list[str]:
    save_file({name: torch.zeros(shape) for name, shape in tensors.items()}, path / "m.safetensors")
    found = initctl.plan(path / "m.safetensors", rules=rules, **given).warnings  # type: ignore[arg-type]
    assert {problem.code for problem in found} <= {"rule.layout"}
    return [f"{problem.message}; {problem.hint}".partition(": ")[2] for problem in found]


def gpt2() -> dict[str, tuple[int, ...]]:
    weights = {f"h.{n}.{module}.weight": shape for n in range(2) for module, shape in CONV1D.items()}
    biases = {f"h.{n}.{module}.bias": shape[1:] for n in range(2) for module, shape in CONV1D.items()}
    return {"wte.weight": (100, 64), **weights, **biases}


@pytest.mark.parametrize("initializer", ["kaiming_normal", "kaiming_uniform:mode=fan_out", "lecun_normal"])
def test_a_law_by_fans_on_a_weight_of_conv1d_warns_once(initializer: str, tmp_path: Path):
    fault = (
        "counts the inputs of h.0.attn.c_attn.weight (and 5 more) as outputs: it is stored as [in, out], as its bias"
    )
    assert warned(tmp_path, gpt2(), f"h.*.weight={initializer}") == [f"{fault} shows; add layout=io"]
    later = f"{fault} shows; add a later rule for such weights, with layout=io"
    assert warned(tmp_path, gpt2(), f"*.weight={initializer}") == [later]


@pytest.mark.parametrize(
    "rule",
    [
        "h.*.weight=kaiming_normal:layout=io",
        "h.*.weight=xavier_normal",
        "h.*.weight=orthogonal",
        "h.*.weight=normal:std=0.02",
        "h.*.attn.c_proj.weight=kaiming_normal",
        "wte.weight=kaiming_normal",
        "*.bias=zeros",
    ],
)
def test_what_counts_right_or_does_not_count_is_silent(rule: str, tmp_path: Path):
    assert warned(tmp_path, gpt2(), rule) == []


def test_a_preset_is_silent(tmp_path: Path):
    assert warned(tmp_path, gpt2(), preset="torch-default", allow_partial=True) == []


def test_transposed_convolutions_are_counted_as_in_torch_and_silent(tmp_path: Path):
    assert warned(tmp_path, {"up.weight": (16, 8, 3, 3), "up.bias": (8,)}, "up.weight=kaiming_normal") == []


def test_the_name_of_a_kernel_shows_its_layout(tmp_path: Path):
    kernels = {"conv.kernel": (3, 3, 4, 8), "fc.kernel": (8, 16)}
    conv, dense = warned(tmp_path, kernels, "conv.*=lecun_normal", "fc.*=lecun_normal")
    assert conv.endswith("it is stored as [kernel, kernel, in, out], as its name shows; add layout=kkio")
    assert dense.endswith("it is stored as [in, out], as its name shows; add layout=io")
    assert warned(tmp_path, kernels, "conv.*=lecun_normal:layout=kkio", "fc.*=lecun_normal:layout=io") == []
