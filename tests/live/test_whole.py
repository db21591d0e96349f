"""A stage of a pipeline: rules are judged by the whole model, of which it has some tensors."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

import initctl
from tests.live.files import bits

if TYPE_CHECKING:
    from pathlib import Path

RULES = ["layers.*.weight=normal:std=0.1/sqrt(2*layers)", "layers.{-1}.bias=ones", "head.weight=uniform"]


def whole() -> dict[str, torch.Tensor]:
    layers = {
        f"layers.{n}.{part}": torch.zeros(4, 4)[0 if part == "bias" else ...]
        for n in range(4)
        for part in ("weight", "bias")
    }
    return {name: tensor.clone() for name, tensor in layers.items()} | {"head.weight": torch.zeros(7, 4)}


def stage(*layers: int) -> nn.Module:
    return nn.ModuleDict({"layers": nn.ModuleDict({str(n): nn.Linear(4, 4) for n in layers})})


@pytest.fixture
def path(tmp_path: Path) -> Path:
    save_file(whole(), tmp_path / "whole.safetensors")
    return tmp_path / "whole.safetensors"


@pytest.fixture
def expected(path: Path, tmp_path: Path) -> dict[str, torch.Tensor]:
    initctl.apply(path, tmp_path / "filled.safetensors", rules=RULES)
    return load_file(tmp_path / "filled.safetensors")


def listed(path: Path) -> Path:
    output = subprocess.run(
        [sys.executable, "-m", "initctl", "inspect", path, "--json"], capture_output=True, check=True
    )
    table = path.with_suffix(".json")
    table.write_bytes(output.stdout)
    return table


@pytest.mark.parametrize("given", ["path", "text", "table", "list"])
def test_stages_have_the_bits_of_the_file_of_the_whole_model(given, path: Path, expected):
    of = {"path": path, "text": str(path), "table": initctl.inspect(path), "list": listed(path)}[given]
    for layers in ((0, 1), (2, 3)):
        part = stage(*layers)
        plan = initctl.init_(part, rules=RULES, of=of)
        assert plan.checkpoint.path == "ModuleDict"
        found = part.state_dict()
        assert all(bits(found[f"layers.{n}.weight"]) == bits(expected[f"layers.{n}.weight"]) for n in layers)
        if 3 in layers:
            assert found["layers.3.bias"].tolist() == [1, 1, 1, 1]


def test_without_the_whole_model_the_rules_do_not_fit():
    with pytest.raises(initctl.FitError, match=r"head.weight=uniform.*matches no tensor"):
        initctl.init_(stage(0, 1), rules=RULES)


def test_a_tensor_of_another_model_is_refused(path: Path):
    with pytest.raises(initctl.FitError, match=r"tensor layers.9.weight: .*whole.safetensors has no such tensor"):
        initctl.init_(stage(9), rules=RULES, of=path)
    with pytest.raises(initctl.FitError, match=r"tensor head.weight \[3, 4\]: has the shape \[7, 4\] in"):
        initctl.init_({"head.weight": torch.zeros(3, 4)}, rules=RULES, of=path)


def test_a_stage_may_have_another_dtype(path: Path, expected):
    part = stage(2).bfloat16()
    initctl.init_(part, rules=RULES, of=path)
    assert torch.equal(part.state_dict()["layers.2.weight"], expected["layers.2.weight"].bfloat16())


def test_a_tied_tensor_has_the_same_values_in_each_stage(tmp_path: Path):
    weight = torch.zeros(5, 4)
    torch.save({"embed.weight": weight, "head.weight": weight}, tmp_path / "tied.pt")
    first, last = {"embed.weight": torch.zeros(5, 4)}, {"head.weight": torch.zeros(5, 4)}
    for part in (first, last):
        initctl.init_(part, rules=["{embed,head}.weight=normal"], of=tmp_path / "tied.pt")
    assert torch.equal(first["embed.weight"], last["head.weight"])
    both = first | last
    initctl.init_(both, rules=["{embed,head}.weight=normal"], of=tmp_path / "tied.pt", seed=3)
    assert torch.equal(both["embed.weight"], both["head.weight"])


def test_a_name_that_the_file_only_notes_has_the_values_of_the_kept_one(tmp_path: Path):
    save_file({"embed.weight": torch.zeros(5, 4)}, tmp_path / "t.safetensors", {"head.weight": "embed.weight"})
    first, last = {"embed.weight": torch.zeros(5, 4)}, {"head.weight": torch.zeros(5, 4)}
    for of in (tmp_path / "t.safetensors", listed(tmp_path / "t.safetensors")):
        for part in (first, last):
            initctl.init_(part, rules=["embed.weight=normal"], of=of)
        assert torch.equal(first["embed.weight"], last["head.weight"])
        assert first["embed.weight"].any()


def test_a_tensor_of_another_stage_cannot_be_copied(path: Path):
    rules = [*RULES, "layers.2.bias=copy:from=layers.0.bias"]
    with pytest.raises(initctl.FitError, match=r"layers.0.bias, which it is filled from, is in another part"):
        initctl.init_(stage(2, 3), rules=rules, of=path)
    initctl.init_(stage(0, 2), rules=rules, of=path)


def test_only_some_tensors_of_a_stage_are_filled(path: Path):
    part = stage(2, 3)
    before = part.state_dict()["layers.3.weight"].clone()
    initctl.init_(part, rules=RULES, of=path, only=["layers.2.weight"])
    assert torch.equal(part.state_dict()["layers.3.weight"], before)


@pytest.mark.parametrize(
    "document",
    [
        {"command": "plan", "data": {"actions": []}},
        {"command": "inspect"},
        {"command": "inspect", "data": {"tensors": [3]}},
        {"command": "inspect", "data": {"tensors": [{"name": "a", "dtype": "float3", "shape": [2]}]}},
        {"command": "inspect", "data": {"tensors": [{"name": "a", "dtype": "float32", "shape": [-2]}]}},
        {"command": "inspect", "data": {"tensors": [{"name": "a", "dtype": "float32", "shape": [2]}] * 2}},
        [],
    ],
)
def test_a_file_that_is_not_a_table_is_refused(document, tmp_path: Path):
    (tmp_path / "t.json").write_text(json.dumps(document))
    with pytest.raises(initctl.InputError, match=r"t\.json: is not a table of tensors"):
        initctl.init_({"a": torch.zeros(2)}, rules=["a=ones"], of=tmp_path / "t.json")
