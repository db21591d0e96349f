"""Every rule must decide something, and a model can be required to be decided whole."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
from torch import save

import initctl
from tests.planning.tables import codes, decided, planned, refusal, refused

if TYPE_CHECKING:
    from pathlib import Path

NET = {
    "fc1.weight": ("F32", [3, 4]),
    "fc1.bias": ("F32", [3]),
    "fc2.weight": ("F32", [2, 3]),
    "norm.weight": ("F32", [2]),
    "steps": ("I64", []),
}


def test_a_rule_that_matches_nothing_is_refused_with_the_nearest_name(tmp_path: Path):
    assert refusal(tmp_path, NET, "*=ones", "fc1.wieght=zeros") == (
        "rule 2 (fc1.wieght=zeros): matches no tensor; did you mean fc1.weight?"
    )


def test_a_keep_rule_that_matches_nothing_is_refused_too(tmp_path: Path):
    assert codes(refused(tmp_path, NET, "fc1.wieght=keep")) == ["rule.unused"]


@pytest.mark.parametrize(("meant", "proposed"), [("layers.3", "layers.3"), ("layers.33", "layers.0")])
def test_of_names_that_differ_in_numbers_only_one_is_proposed_with_those_of_the_pattern(
    tmp_path: Path, meant: str, proposed: str
):
    layers = {f"layers.{i}.weight": ("F32", [1]) for i in range(9)}
    assert f"did you mean {proposed}.weight?" in refusal(tmp_path, layers, f"{meant}.wieght=zeros")


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod."])
def test_a_prefix_that_is_left_out_of_every_name_is_told(tmp_path: Path, prefix: str):
    told = refusal(tmp_path, {f"{prefix}a": ("F32", [1]), f"{prefix}b": ("F32", [1])}, f"{prefix}a=zeros")
    assert told.endswith(f"matches no tensor; names are matched without the prefix {prefix}: write 'a'")


def test_a_row_is_told_to_be_written_as_a_range(tmp_path: Path):
    told = refusal(tmp_path, NET, "fc1.weight[2]=zeros")
    assert told.endswith("matches no tensor; rows are [START:STOP]: write 'fc1.weight[2:3]'")
    assert planned(tmp_path, NET, "fc1.weight[2:3]=zeros").actions


def test_where_nothing_is_near_inspect_is_proposed(tmp_path: Path):
    assert "matches no tensor; `initctl inspect` lists the names" in refusal(tmp_path, NET, "~~~~=zeros")


def test_where_nothing_is_near_the_last_weight_is_named_as_an_example(tmp_path: Path):
    resnet = {"conv1.weight": ("F32", [4, 3]), "fc.weight": ("F32", [10, 4]), "fc.zbias": ("F32", [10])}
    assert refusal(tmp_path, resnet, "head.*=zeros").endswith("lists the names, such as fc.weight")
    assert refusal(tmp_path, {"a": ("F32", [1])}, "head.*=zeros").endswith("lists the names, such as a")


def test_nearest_names_are_found_among_thousands_of_long_ones(tmp_path: Path):
    numerals = str.maketrans("0123456789", "abcdefghij")  # digits would be folded
    many = {f"{i:04}".translate(numerals) + "x" * 300: ("F32", [1]) for i in range(2100)}
    assert f"did you mean baaa{'x' * 252}…?" in refusal(tmp_path, many, f"baaa{'x' * 200}y=zeros")


@pytest.mark.parametrize(("pattern", "meant"), [
    ("bias", "*.bias"), ("fc1", "fc1.*"), ("b.fc", "*.b.fc.*"), ("c2.w", "*c2.w*"), ("nor[lm]", "nor[lm].*"),
    ("re:bias|weight", "re:.*(bias|weight).*"), ("re:fc[12]", "re:.*fc[12].*"),
])  # fmt: skip
def test_a_pattern_for_a_part_of_names_is_told_to_match_them_whole(tmp_path: Path, pattern: str, meant: str):
    names = NET | {"a.b.fc.weight": ("F32", [3])}
    told = refusal(tmp_path, names, f"{pattern}=zeros")
    assert told.endswith(f"matches no tensor; a pattern matches whole names: did you mean '{meant}'?")
    assert planned(tmp_path, names, f"{meant}=zeros").actions


def test_brackets_that_were_meant_literally_are_told_how_to_be_quoted(tmp_path: Path):
    layers = {"layers[0].weight": ("F32", [2]), "layers[1].weight": ("F32", [2])}
    told = refusal(tmp_path, layers, "layers[0].weight=zeros")
    assert told.endswith(
        r"matches no tensor; brackets hold a set of characters; write 'layers\[0].weight' for the name"
    )
    assert decided(planned(tmp_path, layers, r"layers\[0].weight=zeros"))["layers[0].weight"] == "rule 1"


@pytest.mark.parametrize(("pattern", "meant"), [("h.-1.*", "h.{-1}.*"), ("h.-2.weight", "h.{-2}.weight")])
def test_a_number_from_the_end_is_told_to_be_written_in_braces(tmp_path: Path, pattern: str, meant: str):
    layers = {f"h.{layer}.weight": ("F32", [2]) for layer in range(3)}
    assert refusal(tmp_path, layers, f"{pattern}=zeros").endswith(f"matches no tensor; did you mean '{meant}'?")
    assert planned(tmp_path, layers, f"{meant}=zeros").actions


def test_a_set_that_makes_no_sense_as_a_name_is_not_taken_for_one(tmp_path: Path):
    assert "did you mean fc1.weight" in refusal(tmp_path, NET, "fc[{].weight=zeros")


def test_a_wholly_overridden_rule_is_refused_and_names_what_overrides_it(tmp_path: Path):
    told = refusal(tmp_path, NET, "*.weight=ones", "fc*=zeros", "norm.*=keep")
    assert told == (
        "rule 1 (*.weight=ones): has no effect: "
        "rule 2 (fc*=zeros), rule 3 (norm.*=keep) override all its matches; move this rule after them, or delete it"
    )


def test_what_a_condition_leaves_out_is_not_said_to_be_decided_by_later_rules(tmp_path: Path):
    told = refusal(tmp_path, NET, "*.weight=ones where ndim == 2", "fc*=zeros")
    assert "has no effect: rule 2 (fc*=zeros) overrides all its matches under its condition" in told


def test_a_rule_that_is_written_twice_is_overridden_by_its_twin(tmp_path: Path):
    assert codes(refused(tmp_path, NET, "*=ones", "*=ones")) == ["rule.overridden"]


def test_of_many_overriding_rules_three_are_named(tmp_path: Path):
    layers = {f"l{i}": ("F32", [1]) for i in range(5)}
    told = refusal(tmp_path, layers, "*=ones", *(f"l{i}=zeros" for i in range(5)))
    assert [f"rule {number} (" in told for number in range(2, 7)] == [True, True, True, False, False]


def test_a_rule_that_decides_one_tensor_may_lose_all_others(tmp_path: Path):
    plan = planned(tmp_path, NET, "*.weight=ones", "fc*.weight=zeros")
    assert decided(plan)["norm.weight"] == "rule 1"
    assert plan.warnings == ()


def test_a_pattern_that_reaches_integers_alone_decides_nothing(tmp_path: Path):
    told = refusal(tmp_path, NET, "step*=zeros")
    assert "has no effect: it matches only steps (int64); a pattern with wildcards does not fill integer, bool" in told
    assert told.endswith("name one in full to fill it")


def test_what_a_condition_leaves_out_is_not_said_not_to_match(tmp_path: Path):
    told = refusal(tmp_path, NET, '*=zeros where dtype == "int64"')
    assert "has no effect: under its condition it matches only steps (int64); a pattern" in told


def test_a_pattern_that_reaches_what_no_rule_can_fill_is_not_told_to_name_it(tmp_path: Path):
    save({"w": torch.ones(2), "m": torch.ones(2, device="meta")}, tmp_path / "m.pt")
    with pytest.raises(initctl.FitError, match=r"it matches only m .*; no rule can fill these$"):
        initctl.plan(tmp_path / "m.pt", rules=["m*=zeros"])


def test_allow_unused_turns_each_of_these_into_a_warning(tmp_path: Path):
    rules = ("absent=zeros", "fc1.*=ones", "step*=zeros", "fc*=zeros")
    assert codes(refused(tmp_path, NET, *rules)) == ["rule.unused", "rule.overridden", "rule.unused"]
    plan = planned(tmp_path, NET, *rules, allow_unused=True)
    assert plan.warnings == refused(tmp_path, NET, *rules)
    assert {action.rule.source for action in plan.actions} == {"rule 4"}


def test_allow_unused_leaves_other_faults_errors(tmp_path: Path):
    assert codes(refused(tmp_path, NET, "absent=zeros", "fc1.bias=eye", allow_unused=True)) == ["rule.unfit"]


def test_require_all_names_the_floats_that_no_rule_decides(tmp_path: Path):
    assert refusal(tmp_path, NET, "fc1.weight=zeros", require_all=True) == (
        "no rule decides fc1.bias (float32), fc2.weight (float32), norm.weight (float32); "
        "add a rule for each; NAME=keep leaves a tensor unchanged"
    )


def test_of_many_undecided_tensors_three_are_named(tmp_path: Path):
    layers = {f"l{i}": ("F32", [1]) for i in range(6)}
    assert "l1 (float32), l2 (float32), l3 (float32) and 2 more;" in refusal(
        tmp_path, layers, "l0=zeros", require_all=True
    )


@pytest.mark.parametrize("rule", ["*=keep", "*=zeros", "{fc1.weight,fc1.bias,fc2.weight,norm.weight}=keep"])
def test_require_all_is_content_with_keep_and_asks_nothing_of_integers(tmp_path: Path, rule: str):
    assert "steps" in decided(planned(tmp_path, NET, rule, require_all=True))


def test_all_faults_are_told_at_once(tmp_path: Path):
    problems = refused(tmp_path, NET, "absent=ones", "fc2.*=ones", "fc1.bias=eye", "f*2.*=dirac", require_all=True)
    assert codes(problems) == ["rule.unused", "rule.overridden", "tensor.undecided", "rule.unfit", "rule.unfit"]
