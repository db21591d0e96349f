"""Files of real libraries are read as these libraries mean them, and wildcards leave all that is not a parameter."""

from __future__ import annotations

import os
import re
import shutil
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import initctl
from tests.field.layout import FILES, recorded
from tests.field.trees import bits, leaves

if TYPE_CHECKING:
    from pathlib import Path

    from tests.field.layout import Record

RECORDS = recorded()
READ = sorted(name for name, record in RECORDS.items() if record.refused is None)
REFUSED = sorted(name for name, record in RECORDS.items() if record.refused is not None)
SPECIAL = sorted(name for name in READ if RECORDS[name].special)
EVERYTHING = "*=normal:std=0.02"


def path(name: str) -> str:
    """The layout called `name`, as people give it to initctl."""
    return os.path.join(FILES, name, RECORDS[name].checkpoint).rstrip("/")


@pytest.mark.parametrize("name", READ)
def test_the_root_and_its_names_are_those_of_the_library(name: str) -> None:
    record, found = RECORDS[name], initctl.inspect(path(name))
    assert found.root == record.root
    assert {tensor.name for tensor in found.tensors} == {*record.parameters, *record.buffers, *record.special}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_read_for_certain_is_refused_and_said(name: str, tmp_path: Path) -> None:
    with pytest.raises(initctl.InitctlError) as refusal:
        initctl.apply(path(name), tmp_path / "out", rules=[EVERYTHING])
    assert RECORDS[name].refused in "\n".join(f"{p.message} {p.hint}" for p in refusal.value.problems)


@pytest.mark.parametrize("name", READ)
def test_a_rule_over_everything_fills_parameters_and_nothing_else(name: str, tmp_path: Path) -> None:
    record, source = RECORDS[name], os.path.join(FILES, name)
    out = _applied(name, tmp_path, EVERYTHING)
    before, after = leaves(source), leaves(out)
    changed = {leaf for leaf in before if leaf not in after or bits(before[leaf]) != bits(after[leaf])}
    assert set(after) == set(before), "the result has the same structure"
    assert not [leaf for leaf in changed if isinstance(before[leaf], bytes)]
    allowed = {*record.parameters, *record.buffers}
    assert {_relative(leaf, record) for leaf in changed} <= allowed
    assert {_relative(leaf, record) for leaf in changed} >= set(record.parameters)


@pytest.mark.parametrize("name", sorted(name for name in READ if RECORDS[name].warned))
def test_what_a_rule_over_everything_leaves_is_named_in_a_warning(name: str) -> None:
    words = "\n".join(problem.message for problem in initctl.plan(path(name), rules=[EVERYTHING]).warnings)
    assert all(word in words for word in RECORDS[name].warned), words


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_no_pattern_with_wildcards_reaches_what_is_not_a_parameter(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(READ))
    record = RECORDS[name]
    whole = data.draw(st.sampled_from(sorted({*record.parameters, *record.special})))
    pattern = data.draw(_with_wildcards(whole))
    try:
        plan = initctl.plan(path(name), rules=[f"{pattern}=normal:std=0.02"], allow_unused=True)
    except initctl.FitError:
        return
    assert {action["tensor"] for action in plan.to_json()["actions"]} <= {*record.parameters, *record.buffers}


@st.composite
def _with_wildcards(draw: st.DrawFn, name: str) -> str:
    """A pattern that matches `name`, with a wildcard in it at least."""
    start = draw(st.integers(0, len(name)))
    stop = draw(st.integers(start, len(name)))
    quoted = [re.sub(r"([\\*?\[\]{}:=])", r"\\\1", part) for part in (name[:start], name[stop:])]
    return f"{quoted[0]}*{quoted[1]}"


@pytest.mark.parametrize("name", SPECIAL)
def test_the_whole_name_decides_what_wildcards_leave(name: str) -> None:
    for special in _fillable(name):
        quoted = re.sub(r"([\\*?\[\]{}:=])", r"\\\1", special)
        plan = initctl.plan(path(name), rules=[f"{quoted}=constant:val=1"])
        assert [action["tensor"] for action in plan.to_json()["actions"]] == [special]


def _fillable(name: str) -> list[str]:
    """The special tensors of a layout that rules can fill at all; one of each kind."""
    tensors = initctl.inspect(path(name)).tensors
    found = {tensor.name.rpartition(".")[2]: tensor for tensor in tensors if tensor.name in RECORDS[name].special}
    return [tensor.name for tensor in found.values() if tensor.unwritable is None]


def _applied(name: str, folder: Path, rule: str) -> str:
    """A copy of the layout's folder, in which `rule` was applied to its checkpoint in place, or beside it."""
    copy = os.path.join(folder, "copy")
    shutil.copytree(os.path.join(FILES, name), copy)
    given = os.path.join(copy, RECORDS[name].checkpoint).rstrip("/")
    if os.path.exists(os.path.join(given, ".metadata")):
        initctl.apply(given, os.path.join(folder, "out"), rules=[rule], **RECORDS[name].flags)
        return os.path.join(folder, "out")
    initctl.apply(given, in_place=True, rules=[rule], **RECORDS[name].flags)
    return copy


def _relative(leaf: str, record: Record) -> str:
    """The name of a tensor relative to the root, from the keys that lead to it: `FILE/KEY/KEY/NAME`."""
    keys = leaf.removeprefix(record.checkpoint).lstrip("/").split("/")
    names = [key for key in keys if not key.endswith((".safetensors", ".bin"))]
    dotted = ".".join(_of_modules(names))
    return dotted.removeprefix(f"{record.root}.") if record.root else dotted


def _of_modules(keys: list[str]) -> list[str]:
    """`keys` as a state dict has them, where they lead through whole modules."""
    return [key for key in keys if key not in ("state", "_modules", "_parameters", "_buffers")]
