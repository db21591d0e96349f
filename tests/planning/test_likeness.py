"""Tensors that rules see alike are decided once, and as if each had been decided by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import initctl
from initctl.initializers import BoundCall
from initctl.planning.likeness import Likeness
from tests.planning.tables import checkpoint_of, planned, refused

if TYPE_CHECKING:
    from pathlib import Path

LAYERS = {f"layers.{n}.{last}": ("F32", [4, 4]) for n in range(30) for last in ("w", "v")}
TABLE: dict[str, tuple[str, list[int]]] = {
    "layers.0.fc.weight": ("F32", [4, 3]),
    "layers.0.fc.bias": ("F32", [4]),
    "layers.1.fc.weight": ("F32", [4, 3]),
    "layers.2.fc.weight": ("BF16", [4, 3]),
    "layers.2.fc.bias": ("F32", [4]),
    "layers.3.fc.bias": ("F32", [4]),
    "layers.10.fc.weight": ("F32", [4, 3]),
    "layers.10.norm1.weight": ("F32", [4]),
    "layers.11.norm2.weight": ("F32", [4]),
    "layers.1.q.weight": ("F8_E4M3", [4, 4]),
    "layers.1.q.weight_scale_inv": ("F32", [1, 1]),
    "layers.2.q.weight": ("F8_E4M3", [4, 4]),
    "layers.5.attn.bias": ("F32", [1, 1, 4, 4]),
    "layers.6.attn.inv_freq": ("F32", [4]),
    "ddpm.posterior_mean_coef1": ("F32", [4]),
    "ddpm.posterior_mean_coef3": ("F32", [4]),
    "head.weight": ("I64", [4]),
}
PATTERNS = [
    "*", "*.weight", "*.bias", "layers.{0..2}.*", "layers.{-2..-1}.*", "layers.{l}.*", "layers.?.*", "layers.1*",
    "layers.[0-4].*", "layers.[0-9].*", "*.norm2.*", "*.norm[!1].*",
    r"re:layers\.(?P<l>1?[0-9])\.fc\..*", "layers.1.q.*",
    "*.{fc,q}.*", "*coef?",
]  # fmt: skip
CALLS = [
    "zeros", "keep", "normal:std=0.1", "constant:val=layer", "constant:val=layers", "constant:val=first(l,7)",
    "constant:val=sibling.weight.ndim", "constant:val=first(sibling.weight.fan_in,3)", "constant:val=numel",
    "xavier_uniform", "copy:from=layers.0.fc.weight",
]  # fmt: skip
CONDITIONS = ["", "", " where ndim == 2", " where layer >= 2", " where sibling.weight", " where layer < first(layer,9)"]
ROWS = ["", "", "", "[:2]", "[layer:]"]
RULES = st.tuples(*map(st.sampled_from, (PATTERNS, ROWS, CALLS, CONDITIONS)))


def outcome(path: Path, rules: list[str], **options: Any) -> Any:
    """All that a plan says, or all that is wrong."""
    try:
        plan = initctl.plan(path, rules=rules, **options)
    except initctl.InitctlError as error:
        return error.problems
    return plan.to_document(), plan.to_json(), plan.warnings, [action.law for action in plan.actions]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=150)
@given(rules=st.lists(RULES, min_size=1, max_size=4), allow_unused=st.booleans())
def test_each_tensor_is_decided_as_if_it_were_like_no_other(
    tmp_path: Path, rules: list[tuple[str, ...]], allow_unused: bool
):
    path = checkpoint_of(tmp_path, TABLE)
    texts = [pattern + rows + "=" + call + condition for pattern, rows, call, condition in rules]
    found = outcome(path, texts, allow_unused=allow_unused)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Likeness, "of", lambda _, tensor: tensor.name)
        assert found == outcome(path, texts, allow_unused=allow_unused)


@pytest.mark.parametrize(
    ("rules", "laws"),
    [
        (["*=normal:std=0.1"], 2 * 2),  # a number of one digit is unlike one of two
        (["*=normal:std=1/sqrt(fan_in)", "*.v=zeros"], 2 * 2),
        (["layers.{l}.*=normal:std=0.1"], 2 * 2),
        (["*=normal:std=0.1/layers"], 2 * 2),
        (["*.w=normal:std=0.1/(layer+1)"], 30),
    ],
)
def test_laws_are_made_for_each_kind_of_tensors_and_not_for_each_tensor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rules: list[str], laws: int
):
    made = []
    resolve = BoundCall.resolve
    monkeypatch.setattr(BoundCall, "resolve", lambda call, tensor: made.append(call) or resolve(call, tensor))
    plan = planned(tmp_path, LAYERS, *rules)
    assert len(made) == laws < len(plan.actions) or laws == len(plan.actions)


def test_a_fault_that_names_a_sibling_names_that_of_each_tensor(tmp_path: Path):
    table = {f"l.{n}.bias": ("F32", [2]) for n in range(3)}
    problems = refused(tmp_path, table, "*.bias=constant:val=sibling.weight.fan_in")
    assert [f"there is no tensor l.{n}.weight" in str(problem) for n, problem in enumerate(problems)] == [True] * 3
