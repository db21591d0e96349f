"""Copies of a network in the same state dict: a rule that takes them out of step is warned of."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.planning.tables import planned

if TYPE_CHECKING:
    from pathlib import Path

NET = {"body.weight": ("F32", [4, 4]), "head.weight": ("F32", [2, 4]), "head.bias": ("F32", [2])}
LIT_EMA = {f"model_ema.{name.replace('.', '')}": spec for name, spec in NET.items()}
"""latent-diffusion leaves the dots out of the copy's names."""


def under(*prefixes: str) -> dict[str, tuple[str, list[int]]]:
    return {f"{prefix}.{name}": spec for prefix in prefixes for name, spec in NET.items()}


LAYOUTS = {
    "DINO": (under("student", "teacher"), "student.head.weight", "teacher.head.weight"),
    "MoCo, wrapped": (under("module.encoder_q", "module.encoder_k"), "encoder_q.head.weight", "encoder_k.head.weight"),
    "DQN": (under("policy.q_net", "policy.target"), "policy.q_net.head.weight", "policy.target.head.weight"),
    "latent-diffusion": (under("model") | LIT_EMA, "model.head.weight", "model_ema.headweight"),
    "averaging wrapper": (under("net", "ema_model"), "net.head.weight", "ema_model.head.weight"),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_rule_that_fills_a_network_and_not_its_copy_is_warned_of(tmp_path: Path, layout: str):
    table, one, copy = LAYOUTS[layout]
    (warning,) = planned(tmp_path, table, f"{one}=normal:std=0.02").warnings
    assert warning.code == "tensor.copy"
    assert warning.message == f"{copy} is a copy of {one}, but would no longer equal it"
    assert warning.hint == "let training recreate the copy, or fill both with the same constant"


def test_random_values_in_both_are_not_the_same(tmp_path: Path):
    (warning,) = planned(tmp_path, under("student", "teacher"), "*.head.*=normal:std=0.02").warnings
    assert warning.message.endswith("would no longer equal it (and 1 more like it)")


@pytest.mark.parametrize("rule", ["*.head.*=zeros", "*.head.*=nan", "student.other.weight=normal", "*=keep"])
def test_the_same_constant_in_both_and_what_is_kept_in_both_is_no_concern(tmp_path: Path, rule: str):
    table = under("student", "teacher") | {"student.other.weight": ("F32", [3, 3])}
    assert planned(tmp_path, table, rule).warnings == ()


NOT_COPIES = {
    "layers alike": under("layers.0", "layers.1"),
    "two critics": under("q1", "q2"),
    "two towers": under("vision", "text"),
    "another network": under("student") | {"teacher.head.weight": ("F32", [9, 9]), "teacher.x": ("F32", [2])},
    "a module of one tensor": {"net.body.weight": ("F32", [4, 4]), "net.ema.weight": ("F32", [4, 4])},
}


@pytest.mark.parametrize("layout", NOT_COPIES)
def test_what_is_not_a_copy_is_not_warned_of(tmp_path: Path, layout: str):
    assert planned(tmp_path, NOT_COPIES[layout], "*weight=normal:std=0.02").warnings == ()
