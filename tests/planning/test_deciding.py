"""The last rule that covers a tensor decides it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import initctl
from tests.planning.tables import checkpoint_of, codes, decided, planned

if TYPE_CHECKING:
    from pathlib import Path

TWO_LAYERS = {
    "fc1.weight": ("F32", [3, 4]),
    "fc1.bias": ("F32", [3]),
    "fc2.weight": ("F32", [2, 3]),
    "fc2.bias": ("F32", [2]),
}

MATCHED = {
    "*": set(TWO_LAYERS),
    "*.weight": {"fc1.weight", "fc2.weight"},
    "*bias": {"fc1.bias", "fc2.bias"},
    "fc1.*": {"fc1.weight", "fc1.bias"},
    "fc2.weight": {"fc2.weight"},
    "fc{1,2}.bias": {"fc1.bias", "fc2.bias"},
    "nothing": set(),
}
"""Patterns, and what they match above."""


def test_the_last_rule_that_matches_decides(tmp_path: Path):
    plan = planned(tmp_path, TWO_LAYERS, "*=ones", "fc1.*=zeros", "fc1.bias=constant:val=3")
    assert decided(plan) == {
        "fc1.weight": "rule 2",
        "fc1.bias": "rule 3",
        "fc2.weight": "rule 1",
        "fc2.bias": "rule 1",
    }
    assert [action.initializer for action in plan.actions] == ["zeros", "constant", "ones", "ones"]


def test_swapping_two_rules_swaps_which_of_them_decides(tmp_path: Path):
    one = decided(planned(tmp_path, TWO_LAYERS, "*.weight=ones", "fc1.*=zeros"))
    other = decided(planned(tmp_path, TWO_LAYERS, "fc1.*=zeros", "*.weight=ones"))
    assert one["fc1.weight"] == other["fc1.weight"] == "rule 2"
    assert (one["fc1.bias"], other["fc1.bias"]) == ("rule 2", "rule 1")
    assert (one["fc2.weight"], other["fc2.weight"]) == ("rule 1", "rule 2")


def test_keep_takes_a_tensor_back_and_a_later_rule_takes_it_again(tmp_path: Path):
    plan = planned(tmp_path, TWO_LAYERS, "*=zeros", "fc2.*=keep", "fc2.bias=ones")
    assert decided(plan) == {"fc1.weight": "rule 1", "fc1.bias": "rule 1", "fc2.weight": "rule 2", "fc2.bias": "rule 3"}
    (kept,) = plan.kept
    assert (kept.tensor.name, kept.rule and kept.rule.source) == ("fc2.weight", "rule 2")


def test_what_no_rule_covers_is_kept_by_no_rule(tmp_path: Path):
    plan = planned(tmp_path, TWO_LAYERS, "fc1.*=zeros")
    assert [(kept.tensor.name, kept.rule) for kept in plan.kept] == [("fc2.weight", None), ("fc2.bias", None)]


def test_actions_and_kept_stand_in_the_order_of_the_file_whatever_the_order_of_rules(tmp_path: Path):
    plan = planned(tmp_path, TWO_LAYERS, "fc2.bias=zeros", "fc1.weight=zeros")
    assert [action.tensor.name for action in plan.actions] == ["fc1.weight", "fc2.bias"]
    assert [kept.tensor.name for kept in plan.kept] == ["fc1.bias", "fc2.weight"]


def test_rules_match_names_without_a_wrappers_prefix(tmp_path: Path):
    wrapped = {f"module.{name}": entry for name, entry in TWO_LAYERS.items()}
    assert decided(planned(tmp_path, wrapped, "fc1.weight=zeros"))["fc1.weight"] == "rule 1"


def test_the_rule_and_its_place_stand_in_every_fault_of_its_call(tmp_path: Path):
    path = checkpoint_of(tmp_path, TWO_LAYERS)
    with pytest.raises(initctl.RuleError) as raised:
        initctl.plan(path, rules=["*=keep:std=1", "*=ones", "*=nrmal", "*=normal:std=-1", "no call"])
    assert [str(problem).partition(": ")[0] for problem in raised.value.problems] == [
        "rule 1 (*=keep:std=1)", "rule 3 (*=nrmal)", "rule 4 (*=normal:std=-1)", "rule 5 (no call)",
    ]  # fmt: skip
    assert "keep takes no parameters" in str(raised.value)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=150)
@given(rules=st.lists(st.tuples(st.sampled_from(list(MATCHED)), st.booleans()), min_size=1, max_size=5))
def test_every_tensor_has_one_decision_and_every_rule_without_one_is_told(
    tmp_path: Path, rules: list[tuple[str, bool]]
):
    texts = [f"{pattern}={'keep' if keeps else 'zeros'}" for pattern, keeps in rules]
    plan = planned(tmp_path, TWO_LAYERS, *texts, allow_unused=True)
    expected: dict[str, str | None] = dict.fromkeys(TWO_LAYERS)
    for number, (pattern, _) in enumerate(rules, start=1):
        expected.update(dict.fromkeys(MATCHED[pattern], f"rule {number}"))
    assert decided(plan) == expected
    assert len(plan.actions) + len(plan.kept) == len(TWO_LAYERS)
    assert {a.tensor.name for a in plan.actions}.isdisjoint(k.tensor.name for k in plan.kept)
    idle = [(n, MATCHED[p]) for n, (p, _) in enumerate(rules, start=1) if f"rule {n}" not in expected.values()]
    assert codes(plan.warnings) == ["rule.overridden" if matched else "rule.unused" for _, matched in idle]
    assert [w.message.split(" (")[0] for w in plan.warnings] == [f"rule {number}" for number, _ in idle]
