"""Whether weights were trained is read from their norms and biases, and said."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
from torch import nn

import initctl
from tests.diagnosing.fresh import save

if TYPE_CHECKING:
    from pathlib import Path


def read(
    path: Path, *, norms: int, biases: int, dtype: torch.dtype = torch.float32, count: int = 4
) -> tuple[bool, str]:
    """Of a model of `count` layers, of whose norms and biases so many have moved; none has some, if that is -1."""
    torch.manual_seed(0)
    tensors = {}
    for n in range(count):
        tensors[f"layers.{n}.fc.weight"] = torch.randn(64, 64) / 8
        if norms >= 0:
            tensors[f"layers.{n}.norm.weight"] = torch.ones(64) + (n < norms) * torch.randn(64) / 10
        if biases >= 0:
            tensors[f"layers.{n}.fc.bias"] = (n < biases) * torch.randn(64) / 100
    torch.save({name: tensor.to(dtype) for name, tensor in tensors.items()}, path / "m.pt")
    reading = initctl.doctor(path / "m.pt").reading
    return reading.is_trained, reading.reason


@pytest.mark.parametrize(
    ("norms", "biases", "is_trained"),
    [
        (0, 0, False),
        (4, 4, True),
        (3, 3, True),
        (4, 0, False),
        (0, 4, False),
        (4, -1, True),
        (-1, 4, True),
        (1, 1, False),
    ],
)
def test_trained_weights_have_moved_norms_and_biases(norms: int, biases: int, is_trained: bool, tmp_path: Path):
    assert read(tmp_path, norms=norms, biases=biases)[0] == is_trained


@pytest.mark.parametrize(
    ("norms", "biases", "is_trained"),
    [(0, 4, True), (0, 0, False), (0, -1, False), (1, -1, False), (3, -1, True), (4, 4, True), (1, 0, False)],
)
def test_norms_of_bfloat16_that_stayed_at_one_say_nothing(norms: int, biases: int, is_trained: bool, tmp_path: Path):
    assert read(tmp_path, norms=norms, biases=biases, dtype=torch.bfloat16)[0] == is_trained


def test_the_reason_is_said(tmp_path: Path):
    assert read(tmp_path, norms=4, biases=3)[1] == "4 of 4 norms and 3 of 4 biases look trained"
    assert read(tmp_path, norms=0, biases=-1)[1] == "0 of 4 norms look trained"
    assert read(tmp_path, norms=-1, biases=-1)[1] == "there are no norms or biases, which would show training"


def test_norms_and_biases_that_are_nan_are_not_called_missing(tmp_path: Path):
    read(tmp_path, norms=4, biases=3)
    initctl.apply(tmp_path / "m.pt", tmp_path / "nan.pt", rules=["*=nan"])
    reason = "every norm and bias has NaN or infinite numbers, which hide training"
    assert initctl.doctor(tmp_path / "nan.pt").reading == (False, reason)


def test_the_counts_in_the_reason_are_those_that_decide(tmp_path: Path):
    """Training has moved the norm. Three biases still look as torch draws them, and one is still zero."""
    torch.manual_seed(0)
    net = nn.ModuleDict({name: nn.Linear(64, 64) for name in "abcd"} | {"norm": nn.LayerNorm(64)})
    with torch.no_grad():
        net["norm"].weight.add_(torch.randn(64) / 10)
        net["d"].bias.copy_(torch.randn(64))
    torch.save(net.state_dict(), tmp_path / "m.pt")
    found = initctl.doctor(tmp_path / "m.pt")
    assert found.reading == (True, "1 of 1 norms look trained; 3 of 5 biases may be either")


def test_biases_that_all_became_random_by_mistake_are_found_beside_norms_of_one(tmp_path: Path):
    read(tmp_path, norms=0, biases=4)
    assert {one.check.code for one in initctl.doctor(tmp_path / "m.pt").findings} == {"biases.nonzero"}


@pytest.mark.parametrize("law", ["normal:std=0.02", "uniform", "uniform:a=-1,b=1", "constant:val=0.5", "zeros"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_one_law_for_all_tensors_does_not_look_trained(law: str, dtype: torch.dtype, tmp_path: Path):
    for norms, biases in ((0, -1), (0, 0), (-1, 0)):
        read(tmp_path, norms=norms, biases=biases, dtype=dtype)
        filled = tmp_path / f"filled{norms}{biases}.pt"
        initctl.apply(tmp_path / "m.pt", filled, rules=[f"*={law}"])
        found = initctl.doctor(filled)
        assert not found.reading.is_trained
        assert found.findings


@pytest.mark.parametrize("law", ["normal", "uniform", "uniform:a=-1,b=1"])
@pytest.mark.parametrize("family", ["GPT2LMHeadModel", "Gemma2ForCausalLM", "ResNetForImageClassification"])
def test_a_family_whose_tensors_all_got_one_law_does_not_look_trained(family: str, law: str, tmp_path: Path):
    """Gemma's norms start from 0, so they are around it anyway."""
    initctl.apply(save(family, tmp_path / family), tmp_path / "filled", rules=[f"*={law}"])
    found = initctl.doctor(tmp_path / "filled")
    assert not found.reading.is_trained
    assert {"spread.large", "norms.weight"} <= {one.check.code for one in found.findings}


def test_norms_of_gemma_that_were_drawn_alone_do_not_look_trained(tmp_path: Path):
    initctl.apply(save("Gemma2ForCausalLM", tmp_path / "model"), tmp_path / "filled", rules=["*norm.weight=normal"])
    found = initctl.doctor(tmp_path / "filled")
    assert {one.check.code for one in found.findings} == {"norms.weight"}


def test_a_few_norms_around_zero_may_be_trained(tmp_path: Path):
    """CHGNet's gates have such, beside others around 1."""
    read(tmp_path, norms=4, biases=-1)
    tensors = torch.load(tmp_path / "m.pt")
    tensors["layers.1.norm.weight"] = torch.randn(64)
    torch.save(tensors, tmp_path / "m.pt")
    assert initctl.doctor(tmp_path / "m.pt").reading == (True, "4 of 4 norms look trained")
