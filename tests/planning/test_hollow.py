"""Tensors without elements: rules that fill nothing else are refused, and placeholders say where the weights are."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Any

import pytest
import torch
from safetensors.torch import save_file
from transformers import BertConfig, BertForSequenceClassification

import initctl

if TYPE_CHECKING:
    from pathlib import Path

SHAPES = {"body.weight": (8, 6), "body.bias": (8,), "head.weight": (3, 8)}
ZERO = "ZeRO-3 keeps the weights in *_optim_states.pt: run zero_to_fp32.py first"
NOT_GATHERED = "the weights were not gathered before saving; with ZeRO-3, run zero_to_fp32.py on DeepSpeed's checkpoint"


def empties() -> OrderedDict[str, torch.Tensor]:
    """What `state_dict` gives of a model whose parameters ZeRO-3 has partitioned."""
    return OrderedDict((name, torch.empty(0, dtype=torch.bfloat16)) for name in SHAPES)


def zero3(path: Path, **more: Any) -> Path:
    """A file of model states, as DeepSpeed saves it."""
    shapes = [OrderedDict((name, torch.Size(shape)) for name, shape in SHAPES.items())]
    torch.save({"module": empties(), "param_shapes": shapes, "optimizer": None, "ds_version": "0.19.8"} | more, path)
    return path


def saved(path: Path, tensors: Any) -> Path:
    torch.save(tensors, path)
    return path


def refusals(source: Path, *rules: str, **options: Any) -> list[str]:
    with pytest.raises(initctl.FitError) as raised:
        initctl.plan(source, rules=rules, **options)
    assert raised.value.exit_status == 4
    return list(map(str, raised.value.problems))


def test_a_rule_for_zero3_s_empty_tensors_is_refused_and_says_where_the_weights_are(tmp_path: Path):
    path = zero3(tmp_path / "zero_pp_rank_0_mp_rank_00_model_states.pt")
    assert refusals(path, "head.weight=normal:std=0.02") == [
        f"rule 1 (head.weight=normal:std=0.02): has no effect: head.weight has no elements; {ZERO}"
    ]
    assert refusals(path, "body.*=zeros") == [
        f"rule 1 (body.*=zeros): has no effect: body.weight, body.bias have no elements; {ZERO}"
    ]


@pytest.mark.parametrize("more", [{}, {"ds_version": None, "param_shapes": None}])
def test_zero3_is_known_by_what_it_saves_beside_and_by_the_file_s_name(tmp_path: Path, more: Any):
    assert refusals(zero3(tmp_path / "renamed.pt", **more), "*=zeros")[0].endswith(ZERO)
    named = saved(tmp_path / "bf16_zero_pp_rank_3_mp_rank_00_model_states.pt", {"module": empties()})
    assert refusals(named, "*=zeros")[0].endswith(ZERO)


@pytest.mark.parametrize("output", ["out.safetensors", "out/"])
def test_a_conversion_that_would_write_no_element_is_refused(tmp_path: Path, output: str):
    path = zero3(tmp_path / "zero_pp_rank_0_mp_rank_00_model_states.pt")
    with pytest.raises(initctl.FitError) as raised:
        initctl.apply(path, f"{tmp_path}/{output}")
    assert str(raised.value) == (
        f"{path}: there is nothing to convert: body.weight, body.bias, head.weight have no elements; {ZERO}"
    )
    assert not (tmp_path / output).exists()


def test_what_transformers_saves_under_zero3_without_gathering_is_refused_for_its_large_weights(tmp_path: Path):
    """Biases and norms, which are small, ZeRO-3 does not partition: they are whole."""
    config = BertConfig(hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8, vocab_size=8)
    state = BertForSequenceClassification(config).state_dict()
    state = {name: torch.empty(0) if tensor.ndim > 1 and tensor.is_floating_point() else tensor
             for name, tensor in state.items()}  # fmt: skip
    path = saved(tmp_path / "pytorch_model.bin", state)
    more = sum(tensor.numel() == 0 for tensor in state.values()) - 3
    (warning,) = initctl.inspect(path).warnings
    assert str(warning).endswith(f"and {more} more have no elements: their weights are kept elsewhere; {NOT_GATHERED}")
    assert refusals(path, "classifier.weight=normal:std=0.02") == [
        "rule 1 (classifier.weight=normal:std=0.02): has no effect: classifier.weight has no elements; " + NOT_GATHERED
    ]
    plan = initctl.plan(path, rules=["*=zeros"])
    assert "tensor.placeholder" in [w.code for w in plan.warnings]


def test_placeholders_in_safetensors_and_in_shards_are_known(tmp_path: Path):
    """accelerate's `save_model` under ZeRO-3."""
    save_file(empties(), tmp_path / "model.safetensors")
    assert refusals(tmp_path, "*.weight=normal")[0].endswith(NOT_GATHERED)
    assert refusals(tmp_path / "model.safetensors", "*.weight=normal")[0].endswith(NOT_GATHERED)


def test_a_preset_that_fills_only_empty_tensors_is_refused(tmp_path: Path):
    names = ("wte.weight", "h.0.attn.c_attn.weight", "h.0.attn.c_attn.bias", "ln_f.weight")
    save_file({f"transformer.{name}": torch.empty(0) for name in names}, tmp_path / "model.safetensors")
    with pytest.raises(initctl.FitError, match=r"the rules fill nothing: .* have no elements"):
        initctl.plan(tmp_path, preset="gpt2")


@pytest.mark.parametrize("rules", [["none=zeros"], ["none=zeros", "*.bias=zeros"], ["*=zeros"]])
@pytest.mark.parametrize("shape", [(0,), (0, 3), (2, 0)])
def test_one_empty_tensor_of_the_model_s_own_is_filled_like_any_other(
    tmp_path: Path, rules: list[str], shape: tuple[int, ...]
):
    path = saved(tmp_path / "in.pt", {"none": torch.empty(shape), "fc.bias": torch.ones(3)})
    initctl.apply(path, tmp_path / "out.pt", rules=rules)
    initctl.apply(path, tmp_path / "out.safetensors")
    assert torch.load(tmp_path / "out.pt")["none"].shape == shape
    assert initctl.inspect(path).warnings == ()


def test_the_warning_for_empty_tensors_is_not_given_for_integers_and_shapes(tmp_path: Path):
    """Transformer Engine keeps empty `_extra_state`; a linear layer without inputs has a shape."""
    state = {f"{n}._extra_state": torch.empty(0, dtype=torch.uint8) for n in range(3)}
    state |= {"a": torch.empty(0, 4), "b": torch.empty(0, 4), "w": torch.ones(2)}
    assert initctl.inspect(saved(tmp_path / "in.pt", state)).warnings == ()


def test_nothing_but_empty_tensors_is_refused_whatever_their_shapes(tmp_path: Path):
    path = saved(tmp_path / "in.pt", {"a": torch.empty(0, 4), "b": torch.empty(0, 4)})
    assert refusals(path, "a=zeros") == ["rule 1 (a=zeros): has no effect: a has no elements"]


def test_an_unused_rule_for_empty_tensors_may_be_allowed_and_keep_is_no_fault(tmp_path: Path):
    path = zero3(tmp_path / "states.pt")
    plan = initctl.plan(path, rules=["head.weight=zeros"], allow_unused=True)
    assert "rule.unused" in [w.code for w in plan.warnings]
    initctl.plan(path, rules=["*=keep"])


def test_meta_tensors_say_that_they_have_no_bytes(tmp_path: Path):
    path = saved(tmp_path / "in.pt", {name: torch.empty(shape, device="meta") for name, shape in SHAPES.items()})
    assert "it is on the meta device, so it has no bytes" in refusals(path, "*=zeros")[0]
    with pytest.raises(initctl.FitError, match="cannot be written to safetensors: it is on the meta device"):
        initctl.apply(path, tmp_path / "out.safetensors")
