"""Checkpoints of which only the table matters: their tensors are zeros."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any

import pytest

import initctl
from initctl.dtypes import BY_TAG
from tests.formats.handwritten import safetensors_bytes, tensor

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from initctl.errors import Problem
    from initctl.planning import Plan

    Table = Mapping[str, tuple[str, Sequence[int]]]


def checkpoint_of(folder: Path, table: Table) -> Path:
    """A file that holds the tensors of `table`: names, with tags and shapes."""
    header, end = {}, 0
    for name, (tag, shape) in table.items():
        nbytes = prod(shape) * BY_TAG[tag].bits // 8
        header[name] = tensor(tag, list(shape), [end, end + nbytes])
        end += nbytes
    path = folder / "model.safetensors"
    path.write_bytes(safetensors_bytes(header, bytes(end)))
    return path


def planned(folder: Path, table: Table, *rules: str, **options: Any) -> Plan:
    """The plan of `rules` for the tensors of `table`."""
    return initctl.plan(checkpoint_of(folder, table), rules=rules, **options)


def refused(folder: Path, table: Table, *rules: str, **options: Any) -> tuple[Problem, ...]:
    """The problems for which `rules` do not fit the tensors of `table`."""
    with pytest.raises(initctl.FitError) as raised:
        planned(folder, table, *rules, **options)
    assert raised.value.exit_status == 4
    return raised.value.problems


def refusal(folder: Path, table: Table, *rules: str, **options: Any) -> str:
    """The one problem for which `rules` do not fit the tensors of `table`, as it is told."""
    (problem,) = refused(folder, table, *rules, **options)
    return str(problem)


def decided(plan: Plan) -> dict[str, str | None]:
    """Which rule decides each tensor: where it was given."""
    actions = {action.tensor.name: action.rule.source for action in plan.actions}
    return actions | {kept.tensor.name: kept.rule and kept.rule.source for kept in plan.kept}


def codes(problems: Sequence[Problem]) -> list[str]:
    return [problem.code for problem in problems]
