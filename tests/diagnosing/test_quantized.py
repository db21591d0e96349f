"""Codes and scales of quantized weights: right ones are no fault, and random ones are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
from safetensors.torch import save_file

import initctl

if TYPE_CHECKING:
    from pathlib import Path

    Tensors = dict[str, torch.Tensor]

GROUP = 32


def _int8(weight: torch.Tensor) -> Tensors:
    """One scale a row, as compressed-tensors and others have it."""
    scale = weight.abs().amax(1, keepdim=True) / 127
    return {"fc.weight": (weight / scale).round().to(torch.int8), "fc.weight_scale": scale}


def _gptq(weight: torch.Tensor) -> Tensors:
    """Four bits, eight to an integer along the inputs, with a scale for each group of inputs: GPTQModel."""
    grouped = weight.T.reshape(-1, GROUP, weight.shape[0])
    scale = grouped.abs().amax(1, keepdim=True) / 7
    codes = ((grouped / scale).round() + 8).to(torch.int64).reshape(-1, 8, weight.shape[0])
    packed = sum(codes[:, number] << (4 * number) for number in range(8))
    groups = len(grouped)
    return {
        "fc.qweight": packed.where(packed < 2**31, packed - 2**32).to(torch.int32),
        "fc.scales": scale[:, 0].half(),
        "fc.qzeros": torch.full((groups, weight.shape[0] // 8), 0x77777777, dtype=torch.int32),
        "fc.g_idx": torch.arange(weight.shape[1], dtype=torch.int32) // GROUP,
    }


def _float8(weight: torch.Tensor) -> Tensors:
    """One scale for blocks of rows, as DeepSeek-V3 has it."""
    scale = weight.abs().amax() / 448
    return {"fc.weight": (weight / scale).to(torch.float8_e4m3fn), "fc.weight_scale_inv": scale.reshape(1, 1)}


QUANTIZED = {"int8": _int8, "GPTQ": _gptq, "float8": _float8}


def quantized(kind: str) -> Tensors:
    torch.manual_seed(0)
    return QUANTIZED[kind](torch.randn(128, 256) / 16) | {"norm.weight": torch.ones(128)}


def found(tensors: Tensors, path: Path) -> list[tuple[str, str, str | None]]:
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path / "m.safetensors")
    return [(one.check.code, one.tensor, one.rule) for one in initctl.doctor(path / "m.safetensors").findings]


@pytest.mark.parametrize("kind", QUANTIZED)
def test_a_quantized_weight_is_no_fault(kind: str, tmp_path: Path):
    assert found(quantized(kind), tmp_path) == []


@pytest.mark.parametrize(
    ("kind", "name", "low", "high"),
    [("int8", "fc.weight", -128, 128), ("GPTQ", "fc.qweight", -(2**31), 2**31)],
)
def test_random_codes_are_found_and_no_rule_fixes_them(kind: str, name: str, low: int, high: int, tmp_path: Path):
    tensors = quantized(kind)
    tensors[name] = torch.randint(low, high, tensors[name].shape, dtype=tensors[name].dtype)
    assert found(tensors, tmp_path) == [("quantized.codes", name, None)]


@pytest.mark.parametrize("numbers", [1024, 1 << 16])
def test_codes_are_told_from_random_ones_however_few_they_are(numbers: int, tmp_path: Path):
    """Those of weights that are cut at two standard deviations are nearest to random ones."""
    torch.manual_seed(0)
    tensors: Tensors = {}
    for number in range(40):
        weight = torch.nn.init.trunc_normal_(torch.empty(numbers // 32, 32), std=1)
        tensors |= {f"h.{number}.{name}": part for name, part in _int8(weight).items()}
        if number % 2:
            codes = torch.randint(-128, 128, weight.shape, dtype=torch.int8)
            tensors[f"h.{number}.fc.weight"] = codes
    random = {f"h.{number}.fc.weight" for number in range(1, 40, 2)}
    assert {name for _, name, _ in found(tensors, tmp_path)} == random


def test_a_plain_law_in_float8_with_a_scale_is_found(tmp_path: Path):
    tensors = quantized("float8")
    tensors["fc.weight"] = (torch.randn(128, 256) / 16).to(torch.float8_e4m3fn)
    assert found(tensors, tmp_path) == [("quantized.codes", "fc.weight", None)]


@pytest.mark.parametrize("kind", ["int8", "GPTQ"])
def test_random_scales_are_found(kind: str, tmp_path: Path):
    tensors = quantized(kind)
    (name,) = (name for name in tensors if "scale" in name)
    tensors[name] = torch.randn(tensors[name].shape).to(tensors[name].dtype)
    assert found(tensors, tmp_path) == [("quantized.scale", name, None)]


def test_a_scale_that_is_not_a_number_is_an_error(tmp_path: Path):
    tensors = quantized("int8")
    tensors["fc.weight_scale"][3] = float("nan")
    assert found(tensors, tmp_path) == [("values.nan", "fc.weight_scale", None)]
