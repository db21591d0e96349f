"""What a recipe can ask about the tensors beside the one that it fills."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import initctl
from tests.planning.tables import checkpoint_of, refusal

if TYPE_CHECKING:
    from pathlib import Path

    from initctl.planning import Plan

NET = {
    "fc.weight": ("F32", [6, 4]),
    "fc.bias": ("F32", [6]),
    "norm.weight": ("BF16", [6]),
    "norm.bias": ("F32", [6]),
    "free.bias": ("F32", [6]),
    "bias": ("F32", [2]),
    "weight": ("F32", [2, 9]),
}


def planned(folder: Path, rule: str) -> Plan:
    recipe = folder / "recipe.toml"
    recipe.write_text(f"[[rule]]\n{rule}\n")
    return initctl.plan(checkpoint_of(folder, NET), recipes=[recipe])


def filled(folder: Path, where: str) -> set[str]:
    """Which biases a rule fills under a condition."""
    plan = planned(folder, f"match = '*bias'\ninit = 'zeros'\nwhere = '{where}'")
    return {action.tensor.name for action in plan.actions}


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("sibling.weight.fan_in", 4),
        ("sibling.weight.fan_out", 6),
        ("sibling.weight.numel", 24),
        ("sibling.weight.ndim", 2),
        ("sibling.weight.shape[1]", 4),
        ("1 / sqrt(sibling.weight.fan_in)", 0.5),
    ],
)
def test_a_number_can_be_that_of_the_tensor_beside(tmp_path: Path, expression: str, value: float):
    (action,) = planned(tmp_path, f"match = 'fc.bias'\ninit = 'normal'\nstd = '{expression}'").actions
    assert action.params["std"] == value


def test_beside_a_name_without_a_dot_lie_the_others_without_one(tmp_path: Path):
    (action,) = planned(tmp_path, "match = 'bias'\ninit = 'normal'\nstd = 'sibling.weight.fan_in'").actions
    assert action.params["std"] == 9


def test_a_condition_tells_a_layer_by_the_weight_beside_its_bias(tmp_path: Path):
    assert filled(tmp_path, "sibling.weight and sibling.weight.ndim == 2") == {"fc.bias", "bias"}
    assert filled(tmp_path, "sibling.weight and sibling.weight.ndim == 1") == {"norm.bias"}
    assert filled(tmp_path, 'sibling.weight and sibling.weight.dtype == "bfloat16"') == {"norm.bias"}
    assert filled(tmp_path, "not sibling.weight") == {"free.bias"}


def test_a_variable_is_about_the_tensor_beside_the_one_that_is_filled(tmp_path: Path):
    rule = "match = ['fc.bias', 'bias']\ninit = 'normal'\nstd = 'beside'\n[vars]\nbeside = 'sibling.weight.shape[0]'"
    first, second = planned(tmp_path, rule).actions
    assert (first.params["std"], second.params["std"]) == (6, 2)


def test_the_layout_of_a_rule_is_not_that_of_the_tensor_beside(tmp_path: Path):
    rule = "match = 'fc.weight'\ninit = 'kaiming_uniform'\nlayout = 'io'\na = 'sibling.weight.fan_in'"
    (action,) = planned(tmp_path, rule).actions
    assert (action.params["a"], action.params["fan_in"]) == (4, 6)


def test_a_tensor_that_is_not_there_is_told_by_its_name(tmp_path: Path):
    told = refusal(tmp_path, NET, "free.bias=normal:std=sibling.weight.fan_in")
    assert "sibling.weight.fan_in: there is no tensor free.weight" in told


def test_what_has_no_fans_beside_is_told_so(tmp_path: Path):
    assert "a tensor with 1 dim has no fan_in" in refusal(tmp_path, NET, "norm.bias=normal:std=sibling.weight.fan_in")


@pytest.mark.parametrize(
    ("rule", "said"),
    {
        "fc1.bias=normal:std=1/sqrt(fan_in)": "std=1/sqrt(fan_in): a tensor with 1 dim has no fan_in "
        "(sibling.weight.fan_in is that of its weight)",
        "fc1.*=normal:std=fan_out": "std=fan_out: a tensor with 1 dim has no fan_out "
        "(sibling.weight.fan_out is that of its weight); add 'where ndim >= 2' to the rule, or narrow its pattern",
        "scale=normal:std=fan_in": "std=fan_in: a tensor with 0 dims has no fan_in",
    }.items(),
)
def test_a_tensor_without_fans_is_answered_with_those_of_its_weight(tmp_path: Path, rule: str, said: str):
    table = {"fc1.weight": ("F32", [2, 3]), "fc1.bias": ("F32", [2]), "scale": ("F32", [])}
    name, shape = ("scale", []) if rule.startswith("scale") else ("fc1.bias", [2])
    assert refusal(tmp_path, table, rule) == f"rule 1 ({rule}): tensor {name} {shape}: {said}"


@pytest.mark.parametrize(
    "name", ["sibling.fan_in", "sibling.weight.fans", "sibling.weight.layer", "sibling.weight.scale"]
)
def test_what_no_tensor_has_is_refused_before_any_is_read(name: str):
    with pytest.raises(initctl.RuleError, match=r"unknown name sibling.*write sibling\.NAME\.FACT"):
        initctl.plan("nowhere", rules=[f"*=normal:std={name}"])


def test_no_variable_is_called_sibling(tmp_path: Path):
    with pytest.raises(initctl.RuleError, match=r"vars\.sibling: cannot be the name of a variable"):
        planned(tmp_path, "match = '*'\ninit = 'zeros'\n[vars]\nsibling = 1")
