"""Conditions at the end of a rule, and the way out that they are of a pattern which reaches too much."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING

import pytest

import initctl
from tests.planning.tables import checkpoint_of, planned, refusal, refused

if TYPE_CHECKING:
    from pathlib import Path

NET = {
    "fc.weight": ("F32", [4, 4]),
    "fc.bias": ("F32", [4]),
    "norm.weight": ("F32", [4]),
    "conv.weight": ("F32", [4, 4, 3]),
    "logit_scale": ("F32", []),
    "h.3.w": ("F32", [2, 2]),
}


def filled(folder: Path, *rules: str) -> set[str]:
    return {action.tensor.name for action in planned(folder, NET, *rules).actions}


@pytest.mark.parametrize(
    ("rule", "names"),
    [
        ("*=zeros where ndim == 1", {"fc.bias", "norm.weight"}),
        ("*=xavier_uniform where ndim >= 2", {"fc.weight", "conv.weight", "h.3.w"}),
        ("*=zeros where not (ndim > 0 and dtype == 'float32')", {"logit_scale"}),
        ("h.{l}.*=zeros where l == 3", {"h.3.w"}),
        ("fc.weight=zeros where numel == 16", {"fc.weight"}),
        ("*.weight[:2]=zeros where shape[0] == 4 and ndim == 3", {"conv.weight"}),
    ],
)
def test_a_condition_leaves_out_what_it_does_not_hold_for(tmp_path: Path, rule: str, names: set[str]):
    assert filled(tmp_path, rule) == names


def test_a_rule_whose_condition_never_holds_is_refused(tmp_path: Path):
    assert refusal(tmp_path, NET, "norm.*=zeros where ndim > 1") == (
        "rule 1 (norm.*=zeros where ndim > 1): has no effect: "
        "its condition holds for none of its matches: norm.weight [4]; change the condition: ndim > 1"
    )


@pytest.mark.parametrize(
    ("condition", "listed"),
    {
        "fan_in > 9": "fc.weight [4, 4]",
        "dtype == 'bfloat16'": "fc.weight (float32)",
        "dtype == 'bfloat16' and ndim == 2": "fc.weight [4, 4] (float32)",
        "sibling.scale": "fc.weight",
    }.items(),
)
def test_the_tensors_that_a_condition_leaves_out_are_listed_with_what_it_asks_for(
    tmp_path: Path, condition: str, listed: str
):
    assert f" of its matches: {listed}; change" in refusal(tmp_path, NET, f"fc.weight=zeros where {condition}")


def test_a_name_that_a_condition_does_not_know_is_marked(tmp_path: Path):
    with pytest.raises(initctl.RuleError, match="unknown name nidm; did you mean ndim") as raised:
        planned(tmp_path, NET, "*=zeros where nidm > 1")
    (problem,) = raised.value.problems
    assert problem.excerpt
    assert problem.excerpt.lines() == ("*=zeros where nidm > 1", " " * len("*=zeros where ") + "^^^^")


def test_a_dtype_without_quotes_is_shown_with_them(tmp_path: Path):
    with pytest.raises(initctl.RuleError, match='unknown name float32; write it in quotes: "float32"'):
        planned(tmp_path, NET, "*=zeros where dtype == float32")


@pytest.mark.parametrize(
    ("condition", "said"),
    {
        "dtype == torch.float32": 'unknown name torch.float32; write it in quotes: "float32"',
        "dtype == bf16": 'unknown name bf16; write it in quotes: "bfloat16"',
        **{
            f"dtype == '{word}'": f'"{word}" is not a dtype; did you mean "{meant}"?'
            for word, meant in {
                "fp32": "float32",
                "float": "float32",
                "F32": "float32",
                "torch.float32": "float32",
                "fp16": "float16",
                "half": "float16",
                "bf16": "bfloat16",
                "flaot64": "float64",
            }.items()
        },
        "'x' != dtype": '"x" is not a dtype; write, for example, "float32"',
        "sibling.weight.dtype == 32": '32 is not a dtype; write, for example, "float32"',
        "ndim == 1 and shape == 4": "shape is not a number; write, for example, ndim == 1 and shape[0] == 50",
        "name == 'fc.bias'": "unknown name name; a condition cannot test names; the pattern does: '*bias=zeros'",
        "True": "unknown name True; did you mean true?",
    }.items(),
)
def test_a_condition_that_never_holds_for_any_tensor_is_refused(tmp_path: Path, condition: str, said: str):
    with pytest.raises(initctl.RuleError) as raised:
        planned(tmp_path, NET, f"*=zeros where {condition}")
    assert str(raised.value).endswith(said)


def test_a_condition_goes_into_a_saved_plan_and_into_the_recipe(tmp_path: Path):
    rule = "*=xavier_uniform where ndim >= 2 and numel > 4"
    path = checkpoint_of(tmp_path, NET)
    plan = initctl.plan(path, rules=[rule])
    plan.save(tmp_path / "plan.json")
    applied = initctl.apply(initctl.load_plan(tmp_path / "plan.json", path), tmp_path / "out.safetensors")
    assert {action.rule.text for action in applied.plan.actions} == {rule}
    recipe = initctl.plan(path, rules=[rule]).recipe()
    (table,) = tomllib.loads(recipe)["rule"]
    assert table == {"match": "*", "where": "ndim >= 2 and numel > 4", "init": "xavier_uniform"}
    (tmp_path / "r.toml").write_text(recipe)
    assert initctl.verify(tmp_path / "out.safetensors", recipes=[tmp_path / "r.toml"]).holds


@pytest.mark.parametrize(
    ("rule", "way_out"),
    [
        ("*=xavier_uniform", "add 'where ndim >= 2' to the rule, or narrow its pattern"),
        ("{fc,norm}.*=orthogonal", "add 'where ndim >= 2' to the rule, or narrow its pattern"),
        ("*=dirac", "add 'where ndim >= 3 and ndim <= 5' to the rule, or narrow its pattern"),
        ("*weight=eye", "add 'where ndim == 2' to the rule, or narrow its pattern"),
        ("*=permute_rows", "add 'where ndim >= 1' to the rule, or narrow its pattern"),
        ("*[:2]=ones", "add 'where ndim >= 1' to the rule, or narrow its pattern"),
        ("*=kaiming_normal:layout=oik", "add 'where ndim == 3' to the rule, or narrow its pattern"),
        ("*=xavier_uniform where numel > 2", "add 'and ndim >= 2' to its condition, or narrow its pattern"),
    ],
)
def test_a_pattern_that_reaches_too_much_shows_both_ways_out(tmp_path: Path, rule: str, way_out: str):
    problems = refused(tmp_path, NET, rule)
    assert {problem.hint for problem in problems} == {way_out}


def test_of_what_serves_no_tensor_no_way_out_is_proposed(tmp_path: Path):
    (problem,) = refused(tmp_path, NET, "*.bias=xavier_uniform")
    assert problem.hint is None


def test_a_recipe_is_shown_how_it_writes_a_condition(tmp_path: Path):
    (tmp_path / "r.toml").write_text('[[rule]]\nmatch = "*"\ninit = "xavier_uniform"\n')
    with pytest.raises(initctl.FitError, match=r"""; add where = "ndim >= 2" to the rule, or narrow its pattern"""):
        initctl.plan(checkpoint_of(tmp_path, NET), recipes=[tmp_path / "r.toml"])


def test_a_condition_among_the_parameters_is_shown_its_place(tmp_path: Path):
    with pytest.raises(initctl.RuleError, match=r"write it after the initializer: '… where ndim >= 2'"):
        planned(tmp_path, NET, "*=normal:std=1,where=ndim")
