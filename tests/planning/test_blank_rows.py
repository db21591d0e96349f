"""Elements of an incomplete checkpoint that have no value yet must be filled by a rule."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import torch
from safetensors.torch import save_file

import initctl
from initctl.errors import FitError
from initctl.planning import Options, Plan, bind, make_plan
from initctl.rules import parse_rule
from initctl.tensors import TensorPart

if TYPE_CHECKING:
    from pathlib import Path

    from initctl.formats import Checkpoint


@pytest.fixture
def grown(tmp_path: Path) -> Checkpoint:
    """A table with `head.weight` of [5, 4], of which three rows have values, and `new` of [2], which has none."""
    save_file({"head.weight": torch.ones(3, 4), "new": torch.ones(2)}, path := tmp_path / "a.safetensors")
    table = initctl.inspect(path)
    head, new = (table.by_name[name] for name in ("head.weight", "new"))
    tensors = (replace(head, shape=(5, 4)), replace(new, blocks=()))
    return replace(table, tensors=tensors, incomplete=True)


def planned(table: Checkpoint, *rules: str) -> Plan:
    return make_plan(
        table,
        [bind(parse_rule(rule, f"rule {number}")) for number, rule in enumerate(rules, start=1)],
        Options(),
        seed=0,
    )


def test_rows_without_a_value_are_known(grown: Checkpoint):
    head, new = grown.tensors
    assert TensorPart(head).blank_rows == [(3, 5)]
    assert TensorPart(head, (1, 4)).blank_rows == [(3, 4)]
    assert TensorPart(head, (0, 3)).blank_rows == []
    assert TensorPart(new).blank_rows == [(0, 2)]


def test_rows_without_a_value_that_no_rule_fills_are_named(grown: Checkpoint):
    with pytest.raises(FitError) as raised:
        planned(grown, "head.weight[:4]=zeros")
    (problem,) = raised.value.problems
    assert problem.code == "tensor.blank"
    assert problem.message == "no rule fills head.weight[4:5] (float32), new (float32), which have no value yet"


def test_rows_without_a_value_cannot_be_kept(grown: Checkpoint):
    with pytest.raises(FitError) as raised:
        planned(grown, "*=zeros", "head.*=keep")
    (problem,) = raised.value.problems
    assert problem.message == "rule 2 (head.*=keep): cannot keep head.weight[3:5]: it has no value yet"


def test_rows_with_a_value_may_be_kept(grown: Checkpoint):
    plan = planned(grown, "head.weight[3:]=zeros", "new=ones")
    assert [(action.tensor.name, action.rows) for action in plan.actions] == [("head.weight", (3, 5)), ("new", None)]
    assert [(kept.tensor.name, kept.rows) for kept in plan.kept] == [("head.weight", (0, 3))]
