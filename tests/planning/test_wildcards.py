"""What a pattern with wildcards may touch, and what it warns about."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.planning.tables import codes, decided, planned, refused

if TYPE_CHECKING:
    from pathlib import Path

LEFT_ALONE = ["BOOL", "U8", "I8", "U16", "I16", "U32", "I32", "U64", "I64", "F8_E8M0", "F4", "F6_E2M3", "F6_E3M2"]
FLOATS = ["F8_E4M3", "F8_E5M2", "F8_E4M3FNUZ", "F8_E5M2FNUZ", "F16", "BF16", "F32", "F64", "C64"]
SCALES = [
    "fc.weight_scale", "fc.weight_scale_inv", "fc.weight_scales", "fc.weight_scale_2", "fc.weight.scale",
    "fc.weight.scales", "fc.scale", "fc.scales", "fc.scale_inv", "fc.scale_weight",
]  # fmt: skip


@pytest.mark.parametrize("tag", LEFT_ALONE)
def test_a_pattern_leaves_what_is_no_plain_float_as_it_is_and_warns(tmp_path: Path, tag: str):
    plan = planned(tmp_path, {"mask": (tag, [8]), "w": ("F32", [2])}, "*=zeros")
    assert decided(plan) == {"w": "rule 1", "mask": None}
    (warning,) = plan.warnings
    assert warning.code == "rule.left_alone"
    assert warning.message.startswith("rule 1 (*=zeros): does not fill mask (")
    assert warning.message.endswith(")")


@pytest.mark.parametrize("tag", FLOATS)
def test_a_pattern_fills_every_float_without_a_warning(tmp_path: Path, tag: str):
    plan = planned(tmp_path, {"w": (tag, [8])}, "*=normal")
    assert decided(plan) == {"w": "rule 1"}
    assert plan.warnings == ()


@pytest.mark.parametrize("scale", SCALES)
def test_a_pattern_leaves_a_float8_and_the_scale_beside_it(tmp_path: Path, scale: str):
    table = {"fc.weight": ("F8_E4M3", [8]), scale: ("F32", [1]), "fc.bias": ("F32", [8])}
    plan = planned(tmp_path, table, "*=ones")
    assert decided(plan) == {"fc.bias": "rule 1", "fc.weight": None, scale: None}
    assert codes(plan.warnings) == ["rule.left_alone"]


def test_a_scale_beside_the_root_tensor_counts_too(tmp_path: Path):
    table = {"w": ("F8_E5M2", [8]), "scale": ("F32", [1]), "b": ("F32", [1])}
    assert decided(planned(tmp_path, table, "*=ones")) == {"b": "rule 1", "w": None, "scale": None}


@pytest.mark.parametrize(
    ("tag", "scale"), [("F16", "fc.weight_scale"), ("F8_E4M3", "fc2.weight_scale"), ("F8_E4M3", "fc.weight.scale.x")]
)
def test_a_scale_matters_to_a_float8_of_its_own_module_only(tmp_path: Path, tag: str, scale: str):
    plan = planned(tmp_path, {"fc.weight": (tag, [8]), scale: ("F32", [1])}, "*=ones")
    assert decided(plan)["fc.weight"] == "rule 1"


@pytest.mark.parametrize("rule", ["steps=zeros", "{steps,other}=zeros", r"st\eps=zeros", "{st{e,}ps,x}=zeros"])
def test_a_rule_that_spells_a_tensors_name_out_decides_it_whatever_it_holds(tmp_path: Path, rule: str):
    plan = planned(tmp_path, {"steps": ("I64", [])}, rule)
    assert decided(plan) == {"steps": "rule 1"}
    assert {warning.code for warning in plan.warnings} <= {"rule.alternative"}


@pytest.mark.parametrize("rule", ["step?=zeros", "step[s]=zeros", "{step*,x}=zeros"])
def test_any_wildcard_at_all_makes_a_pattern(tmp_path: Path, rule: str):
    assert codes(refused(tmp_path, {"steps": ("I64", [])}, rule)) == ["rule.unused"]


def test_a_scaled_float8_is_decided_by_its_full_name(tmp_path: Path):
    plan = planned(tmp_path, {"w": ("F8_E4M3", [8]), "w_scale": ("F32", [1])}, "w=ones")
    assert decided(plan)["w"] == "rule 1"


def test_a_pattern_may_keep_integers(tmp_path: Path):
    plan = planned(tmp_path, {"steps": ("I64", [])}, "*=keep")
    assert decided(plan) == {"steps": "rule 1"}
    assert plan.warnings == ()


def test_a_pattern_does_not_take_an_integer_from_the_rule_that_names_it(tmp_path: Path):
    plan = planned(tmp_path, {"steps": ("I64", []), "w": ("F32", [2])}, "steps=constant:val=7", "*=zeros")
    assert decided(plan) == {"steps": "rule 1", "w": "rule 2"}
    assert plan.warnings == ()


def test_the_warning_names_three_of_many_and_stands_once_for_each_rule(tmp_path: Path):
    table = {**{f"n{i}": ("I64", [1]) for i in range(5)}, "w": ("F32", [2]), "v": ("F32", [2])}
    plan = planned(tmp_path, table, "*=zeros", "[nw]*=ones")
    assert [warning.message for warning in plan.warnings] == [
        f"rule {rule}: does not fill n0 (int64), n1 (int64), n2 (int64) and 2 more"
        for rule in ("1 (*=zeros)", "2 ([nw]*=ones)")
    ]


def test_a_pattern_for_biases_that_reaches_a_matrix_warns_once(tmp_path: Path):
    stacked = {f"experts.{i}.bias": ("F32", [4, 4]) for i in range(3)}
    plan = planned(tmp_path, {**stacked, "h.0.fc.bias": ("F32", [4])}, "*.bias=zeros")
    (warning,) = plan.warnings
    assert warning.code == "rule.bias_dims"
    assert str(warning) == (
        "rule 1 (*.bias=zeros): tensor experts.0.bias has 2 dims, which no bias has; "
        "if it is a mask, add a rule that keeps it"
    )


@pytest.mark.parametrize("rule", ["*=zeros", "*.{b,}bias=zeros", "attn.*=ones"])
def test_any_pattern_that_reaches_a_bias_with_many_dims_warns(tmp_path: Path, rule: str):
    (warning,) = planned(tmp_path, {"attn.bias": ("F32", [4, 4])}, rule).warnings
    assert warning.code == "rule.bias_dims"


@pytest.mark.parametrize(
    "rules", [["attn.bias=zeros"], ["{attn,fc}.bias=zeros"], ["*.bias=zeros", "attn.bias=keep"], ["*.bias=keep"]]
)
def test_other_ways_to_reach_a_mask_do_not_warn(tmp_path: Path, rules: list[str]):
    assert planned(tmp_path, {"attn.bias": ("F32", [4, 4]), "fc.bias": ("F32", [4])}, *rules).warnings == ()


@pytest.mark.parametrize("rule", ["w=trunc_normal:std=0.02", "w=trunc_normal:mean=1,std=0.1,a=-1"])
def test_a_truncation_that_cuts_nothing_warns(tmp_path: Path, rule: str):
    (warning,) = planned(tmp_path, {"w": ("F32", [4])}, rule).warnings
    assert warning.code == "rule.nothing_cut"
    assert "cuts nothing: a=" in warning.message
    assert warning.hint == "write cut=2 for two standard deviations"


@pytest.mark.parametrize(
    "rule",
    ["w=trunc_normal", "w=trunc_normal:std=0.02,cut=2", "w=trunc_normal:std=0.02,a=-0.04", "w=trunc_normal:std=0"],
)
def test_a_truncation_that_cuts_something_does_not_warn(tmp_path: Path, rule: str):
    assert planned(tmp_path, {"w": ("F32", [4])}, rule).warnings == ()
