"""Patterns name the tensors that are judged; what these are compared with follows from the whole model."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import BertConfig, BertForSequenceClassification

import initctl
from tests.diagnosing.fresh import save
from tests.presets.fresh import FILE, quiet

if TYPE_CHECKING:
    from pathlib import Path

HEAD = "classifier.weight"


@pytest.fixture
def trained(tmp_path: Path) -> Path:
    """A BERT whose values have all moved, with a new head that was drawn with a spread that is too large."""
    torch.manual_seed(0)
    sizes = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4}
    model = BertForSequenceClassification(BertConfig(vocab_size=500, **sizes))
    with quiet(), torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) / 100)
        model.save_pretrained(tmp_path / "trained")
    initctl.apply(tmp_path / "trained", tmp_path / "new", rules=[f"{HEAD}=normal:std=5"])
    return tmp_path / "new"


def saved(path: Path, **tensors: torch.Tensor) -> Path:
    torch.save({name.replace("__", "."): tensor for name, tensor in tensors.items()}, path / "m.pt")
    return path / "m.pt"


def places(found: initctl.Diagnosis) -> list[tuple[str, str]]:
    return [(one.tensor, one.check.code) for one in found.findings]


def test_a_new_head_of_a_trained_model_is_judged_as_fresh_if_it_is_named(trained: Path):
    assert not initctl.doctor(trained).findings
    found = initctl.doctor(trained, [HEAD])
    assert places(found) == [(HEAD, "spread.large")]
    assert found.rules == [f"{HEAD}=normal:std=0.02"]
    assert found.reading == (False, "named tensors count as fresh")


def test_named_tensors_are_trained_ones_if_that_is_said(trained: Path):
    found = initctl.doctor(trained, [HEAD], trained=True)
    assert (found.findings, found.reading) == ((), (True, "as requested"))


def test_only_named_tensors_are_judged_and_counted(tmp_path: Path):
    weights = {f"{name}__weight": torch.full((64, 64), torch.nan) for name in "ab"}
    found = initctl.doctor(saved(tmp_path, **weights, c__bias=torch.full((64,), 9.0)), ["b.*", "c.*"])
    assert places(found) == [("b.weight", "values.nan"), ("c.bias", "biases.nonzero")]
    assert found.summary().startswith("1 error, 1 warning in 2 tensors; ")


def test_a_tied_tensor_is_judged_under_each_of_its_names(tmp_path: Path):
    table = torch.randn(100, 64)
    path = saved(tmp_path, embed__weight=table, out__weight=table)
    for name in ("embed.weight", "out.weight"):
        assert initctl.doctor(path, [name]).rules == ["{embed.weight,out.weight}=normal:std=0.02"]


def test_norms_that_are_not_named_still_end_a_chain(tmp_path: Path):
    layers = {f"layers__{n}__weight": torch.randn(64, 64) * 0.6 for n in range(12)}
    names = ["layers.*.weight"]
    assert {code for _, code in places(initctl.doctor(saved(tmp_path, **layers), names))} == {"spread.depth"}
    assert not initctl.doctor(saved(tmp_path, **layers, norm__weight=torch.ones(64)), names).findings


def test_a_prior_in_the_bias_of_a_head_is_no_fault_without_its_weight(tmp_path: Path):
    units = {"layers__0": 64, "layers__1": 64, "head": 20}
    weights = {f"{name}__weight": torch.randn(number, 64) / 8 for name, number in units.items()}
    biases = {f"{name}__bias": torch.full((number,), -4.6) for name, number in units.items()}
    found = initctl.doctor(saved(tmp_path, **weights, **biases), ["{layers.1,head}.bias"])
    assert places(found) == [("layers.1.bias", "biases.nonzero")]


@pytest.mark.parametrize("name", ["lm_head.weight", "transformer.wte.weight"])
def test_a_broken_tie_is_found_by_either_of_its_names(name: str, tmp_path: Path):
    model = save("GPT2LMHeadModel", tmp_path / "gpt2")
    tensors = load_file(model / FILE)
    save_file({**tensors, "lm_head.weight": tensors["transformer.wte.weight"].flip(1).contiguous()}, model / FILE)
    assert places(initctl.doctor(model, [name])) == [("lm_head.weight", "embeddings.tie")]
    assert not initctl.doctor(model, ["*.c_attn.weight"]).findings


def test_only_checksums_of_named_tensors_are_compared(tmp_path: Path):
    tensors = {name: torch.randn(64, 64) / 8 for name in ("a__weight", "b__weight")}
    path = saved(tmp_path, **tensors)
    content = bytearray(path.read_bytes())
    content[content.index(tensors["b__weight"].numpy().tobytes()[800:900]) + 8] ^= 1
    path.write_bytes(content)
    assert places(initctl.doctor(path, ["b.weight"])) == [("b.weight", "values.damaged")]
    assert not initctl.doctor(path, ["a.weight"]).findings


def test_a_pattern_that_fits_nothing_or_selects_rows_is_an_error(tmp_path: Path):
    path = saved(tmp_path, fc__weight=torch.randn(64, 64))
    with pytest.raises(initctl.FitError, match="pattern head: matches no tensor"):
        initctl.doctor(path, ["head"])
    with pytest.raises(initctl.UsageError, match="selects rows"):
        initctl.doctor(path, ["fc.weight[:3]"])
    with pytest.raises(initctl.UsageError, match="patterns: must be a list"):
        initctl.doctor(path, "fc.weight")
