"""`only` and `missing` fill some tensors; rules are judged by the whole model."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
from torch import nn

import initctl
from tests.live.files import applied, assert_same_bits, bits
from tests.live.test_models import Tied

if TYPE_CHECKING:
    from pathlib import Path

RULES = ["*.weight=normal:std=0.02", "*.bias=zeros"]


def network() -> nn.Module:
    return nn.ModuleDict({"body": nn.Linear(20, 30), "norm": nn.BatchNorm1d(30), "head": nn.Linear(30, 5)})


@pytest.mark.parametrize("only", [["head.*"], ["head.weight", "head.bias"], ("head.{weight,bias}",)])
def test_only_the_named_tensors_are_filled_with_the_bits_of_the_whole_model(only, tmp_path: Path):
    net = network()
    loaded = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    expected = applied(net.state_dict(), tmp_path, rules=RULES)
    plan = initctl.init_(net, rules=RULES, only=only)
    assert [action.tensor.name for action in plan.actions] == ["head.weight", "head.bias"]
    assert plan.kept_totals.elements == sum(t.numel() for n, t in loaded.items() if not n.startswith("head"))
    for name, tensor in net.state_dict().items():
        assert bits(tensor) == bits((expected if name.startswith("head") else loaded)[name])


@pytest.mark.parametrize("as_list", [False, True])
def test_what_a_checkpoint_did_not_have_is_filled_beside_what_it_had(as_list, tmp_path: Path):
    net, trained = network(), network()
    expected = applied(net.state_dict(), tmp_path, rules=RULES)
    body = {name: tensor for name, tensor in trained.state_dict().items() if not name.startswith("head")}
    result = net.load_state_dict(body, strict=False)
    initctl.init_(net, rules=RULES, missing=result.missing_keys if as_list else result)
    assert_same_bits(body | {n: t for n, t in expected.items() if n.startswith("head")}, net.state_dict())


def test_a_preset_for_the_whole_model_fills_only_the_head():
    net = network()
    before = net["body"].weight.clone()
    initctl.init_(net, preset="torch-default", missing=["head.weight", "head.bias"])
    assert torch.equal(net["body"].weight, before)
    assert net["head"].weight.abs().max() <= 1 / 30**0.5


def test_nothing_is_filled_if_nothing_is_missing():
    net = network()
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    plan = initctl.init_(net, rules=RULES, missing=net.load_state_dict(before, strict=False))
    assert plan.actions == ()
    assert_same_bits(before, net.state_dict())


def test_a_tied_tensor_that_was_loaded_under_another_name_is_not_missing():
    model = Tied()
    loaded = {name: torch.full_like(tensor, 5) for name, tensor in model.state_dict().items() if name != "head.weight"}
    result = model.load_state_dict(loaded, strict=False)
    assert result.missing_keys == ["head.weight"]
    initctl.init_(model, rules=RULES, missing=result)
    assert (model.embed.weight == 5).all()


def test_some_names_of_a_tied_tensor_are_refused():
    with pytest.raises(initctl.FitError, match=r"only: head.weight and embed.weight are one tensor"):
        initctl.init_(Tied(), rules=RULES, only=["head.weight"])


def test_names_of_a_wrapped_model_are_those_that_torch_reports():
    net = nn.DataParallel(network())
    initctl.init_(net, rules=["*=ones"], missing=["module.head.weight"])
    assert (net.module["head"].weight == 1).all()
    assert (net.module["body"].weight != 1).any()


def test_a_rule_for_other_tensors_is_fine_but_a_typo_is_not():
    initctl.init_(network(), rules=["head.*=zeros", "body.*=ones"], only=["head.*"])
    with pytest.raises(initctl.FitError, match="matches no tensor"):
        initctl.init_(network(), rules=["head.*=zeros", "boby.*=ones"], only=["head.*"])


def test_a_missing_tensor_that_no_rule_decides_is_refused():
    with pytest.raises(initctl.FitError, match=r"no rule decides head.bias \(float32\), which must be filled"):
        initctl.init_(network(), rules=["*.weight=normal"], missing=["head.weight", "head.bias"])
    initctl.init_(network(), rules=["*.weight=normal", "head.bias=keep"], missing=["head.weight", "head.bias"])


def test_an_integer_that_is_missing_needs_no_rule():
    initctl.init_(network(), rules=["*.weight=ones"], missing=["norm.weight", "norm.num_batches_tracked"])


@pytest.mark.parametrize(
    ("asked", "error", "message"),
    [
        (
            {"missing": ["haed.weight"]},
            initctl.UsageError,
            "ModuleDict has no tensor haed.weight; did you mean head.weight",
        ),
        ({"only": ["haed.weight"]}, initctl.FitError, "matches no tensor; did you mean head.weight"),
        ({"only": "head.*"}, initctl.UsageError, "must be a list"),
        ({"only": ["head.*"], "missing": ["head.bias"]}, initctl.UsageError, "only and missing are both given"),
        ({"missing": "head.bias"}, TypeError, "is not a list"),
        ({"missing": [3]}, TypeError, "is not a string"),
        ({"only": ["head.*"], "rng": "torch"}, initctl.UsageError, "draws the values of all tensors in order"),
    ],
)
def test_a_wrong_choice_is_refused(asked, error, message):
    with pytest.raises(error, match=message):
        initctl.init_(network(), rules=RULES, **asked)


def test_a_tensor_that_the_checkpoint_has_in_another_shape_is_missing():
    net = network()
    before = net.state_dict()["body.weight"].clone()
    info = {"missing_keys": set(), "mismatched_keys": {("head.weight", (3, 30), (5, 30)), ("head.bias", (3,), (5,))}}
    plan = initctl.init_(net, rules=RULES, missing=info)
    assert [action.tensor.name for action in plan.actions] == ["head.weight", "head.bias"]
    assert torch.equal(net.state_dict()["body.weight"], before)


def test_a_state_dict_with_keys_that_are_not_strings_is_refused():
    with pytest.raises(TypeError, match="the key 1 of the state dict is not a string"):
        initctl.init_({1: torch.zeros(3)}, rules=["*=zeros"])
