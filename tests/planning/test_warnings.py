"""What is probably a typo, and still fits, is told."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
from safetensors.torch import save_file

import initctl

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    names = ("layers.0.q.weight", "layers.0.k.weight", "layers.1.q.weight", "head.weight")
    save_file({name: torch.ones(4, 3) for name in names}, tmp_path / "m.safetensors")
    return tmp_path / "m.safetensors"


def warned(checkpoint: Path, **given: object) -> list[str]:
    return [warning.message for warning in initctl.plan(checkpoint, **given).warnings]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("selector", "idle"),
    [
        ("layers.*.{q,k,v}.weight", ["v"]),
        ("{layers.{0..1},haed}.*", ["haed"]),
        ("{layers.*,poller.*,head.*}", ["poller.*"]),
        ("layers.{0,1,2,3}.*", ["2", "3"]),
        ("layers.{0..3}.*", ["3"]),
        ("layers.{1..3}.q*", ["3"]),
        ("{head,tail}.weight[1:]", ["tail"]),
    ],
)
def test_an_alternative_that_matches_nothing(checkpoint: Path, selector: str, idle: list[str]):
    rule = f"{selector}=zeros"
    assert warned(checkpoint, rules=[rule]) == [f"rule 1 ({rule}): {text} matches no tensor" for text in idle]


@pytest.mark.parametrize(
    "selector", ["{layers.*,head.*}", "{model.,}head.weight", "layers.*.{q,k}.weight", "layers.{0..1}.*", "*"]
)
def test_no_alternative_that_matches_something_or_may_be_absent(checkpoint: Path, selector: str):
    assert warned(checkpoint, rules=[f"{selector}=zeros"]) == []


def test_no_alternative_of_an_optional_rule(checkpoint: Path, tmp_path: Path):
    recipe = tmp_path / "r.toml"
    recipe.write_text('[[rule]]\nmatch = "{head,tail}.weight"\ninit = "zeros"\noptional = true\n')
    assert warned(checkpoint, recipes=[recipe]) == []


def test_no_alternative_that_is_the_other_name_of_a_tied_tensor(tmp_path: Path):
    weight = torch.ones(3, 2)
    torch.save({"embed.weight": weight, "head.weight": weight}, tmp_path / "m.pt")
    initctl.apply(tmp_path / "m.pt", tmp_path / "m.safetensors")
    assert warned(tmp_path / "m.safetensors", rules=["{embed,head}.weight=zeros"]) == []


def test_a_variable_that_no_rule_uses(checkpoint: Path, tmp_path: Path):
    (tmp_path / "base.toml").write_text(
        '[vars]\nstd_of_all = "2 * base"\nbase = 0.01\n[[rule]]\nmatch = "*"\ninit = "normal"\nstd = "std_of_all"\n'
    )
    recipe = tmp_path / "r.toml"
    recipe.write_text('extends = "base.toml"\n[vars]\nstd_of_al = 0.5\n')
    (warning,) = initctl.plan(checkpoint, recipes=[recipe]).warnings
    assert warning.message == f"{recipe}:3:1: vars.std_of_al: no rule uses it"
    assert warning.hint == "did you mean std_of_all?"


def test_no_variable_that_a_rule_of_the_command_line_uses(checkpoint: Path, tmp_path: Path):
    recipe = tmp_path / "r.toml"
    recipe.write_text('[vars]\na = 3\n[[rule]]\nmatch = "*"\ninit = "zeros"\n')
    assert warned(checkpoint, recipes=[recipe], rules=["head.weight[a:]=ones"]) == []
