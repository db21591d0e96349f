"""Rules that take some rows of a tensor: which rows they decide, and when they are refused."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import initctl
from initctl.errors import shown
from tests.planning.tables import codes, planned, refusal, refused

if TYPE_CHECKING:
    from pathlib import Path

    from initctl.planning import Plan

TABLE = {"emb.weight": ("F32", [10, 4]), "emb.bias": ("F32", [10]), "scale": ("F32", []), "empty": ("F32", [0, 3])}
LAYERS = {f"layers.{n}.weight": ("F32", [n + 3, 2]) for n in range(4)}

Rows = tuple[int, int]


def parts(plan: Plan, name: str) -> list[tuple[Rows | None, str | None]]:
    """The parts of a tensor in order, each with what decides it: the source of a rule."""
    found = [(a.rows, a.rule.source) for a in plan.actions if a.tensor.name == name]
    found += [(k.rows, k.rule and k.rule.source) for k in plan.kept if k.tensor.name == name]
    return sorted(found, key=lambda part: part[0] or (0, 0))


@pytest.mark.parametrize(
    ("bounds", "rows"),
    {
        "[2:5]": (2, 5),
        "[:3]": (0, 3),
        "[7:]": (7, 10),
        "[-3:]": (7, 10),
        "[:-8]": (0, 2),
        "[-4:-2]": (6, 8),
        "[9:10]": (9, 10),
        "[-10:1]": (0, 1),
        "[ 2 : 5 ]": (2, 5),
        "[shape[0]-2:]": (8, 10),
        "[shape[0]/2:numel/5]": (5, 8),
        "[min(2, 3):max(4, 5)]": (2, 5),
        "[-(1+2):]": (7, 10),
        "[2**2:2**3]": (4, 8),
    }.items(),
)
def test_bounds_count_as_in_python(tmp_path: Path, bounds: str, rows: Rows):
    (action,) = planned(tmp_path, TABLE, f"emb.weight{bounds}=zeros").actions
    assert action.rows == rows
    assert action.part.numel == (rows[1] - rows[0]) * 4
    assert action.to_json()["rows"] == list(rows)
    assert (action.to_json()["elements"], action.to_json()["bytes"]) == (action.part.numel, action.part.numel * 4)


def test_all_rows_are_the_whole_tensor(tmp_path: Path):
    for bounds in ("[:]", "[0:]", "[:10]", "[0:10]", "[-10:]"):
        (action,) = planned(tmp_path, TABLE, f"emb.weight{bounds}=zeros").actions
        assert action.rows is None


@pytest.mark.parametrize(
    ("bounds", "told"),
    {
        "[0:11]": "the rule takes rows 0 to 11, but the tensor has 10 (0 to 9)",
        "[11:]": "the rule takes rows from 11 on, but the tensor has 10 (0 to 9)",
        "[-11:]": "the rule takes rows from -11 on, but the tensor has 10 (0 to 9)",
        "[:12]": "the rule takes rows up to 12, but the tensor has 10 (0 to 9)",
        "[8:-11]": "the rule takes rows 8 to -11, but the tensor has 10 (0 to 9)",
        "[5:5]": "[5:5] selects no rows: 5 to 5, of 10",
        "[5:2]": "selects no rows: 5 to 2, of 10",
        "[-1:0]": "selects no rows: 9 to 0, of 10",
        "[10:]": "it has 10 rows (0 to 9), so [10:] selects none",
        "[1/2:]": "1/2 is 0.5, not a whole number",
        "[shape[0]/3:]": "shape[0]/3 is 3.3333333333333335, not a whole number",
        "[2**70:]": "the rule takes rows from 1180591620717411303424 on, but the tensor has 10 (0 to 9)",
        "[1/0:]": "1/0: division by 0",
        "[shape[5]:]": "index 5 is out of range: shape has length 2",
        "[shape:]": "not a whole number",
        "[config.rows:]": "there is no config.json beside the checkpoint; write the value itself",
        "[layer:]": "its name has no number between dots",
    }.items(),
)
def test_rows_that_are_not_there_are_refused_with_tensor_and_rule(tmp_path: Path, bounds: str, told: str):
    message = refusal(tmp_path, TABLE, f"emb.weight{bounds}=zeros")
    assert message.startswith(f"rule 1 (emb.weight{bounds}=zeros): tensor emb.weight [10, 4]: ")
    assert told in message


@pytest.mark.parametrize(
    ("rule", "code"),
    [
        ("emb.weight[1:2:3]=zeros", "rule.rows"),
        ("emb.weight[::]=zeros", "rule.rows"),
        ("emb.weight[1:=zeros", "rule.syntax"),
        ("emb.weight[x:]=zeros", "rule.name"),
        ("emb.weight[1 2:]=zeros", "rule.expression"),
        ("emb.weight[1>0:]=zeros", "rule.expression"),
    ],
)
def test_bounds_that_cannot_be_read_are_refused_before_the_checkpoint_is(rule: str, code: str):
    with pytest.raises(initctl.RuleError) as raised:
        initctl.plan("/no/such/file", rules=[rule])
    (problem,) = raised.value.problems
    assert problem.code == code
    assert str(problem).startswith(f"rule 1 ({shown(rule)}): ")
    assert problem.excerpt is not None
    assert problem.excerpt.text == rule


@pytest.mark.parametrize(
    ("rule", "at"),
    [("*w[2:oops]=zeros", "oops"), (" *w[ 2+oops : ] = zeros", "oops"), ("re:.*[:1 $]=zeros", "$")],
)
def test_the_caret_stands_under_the_fault_in_a_bound(rule: str, at: str):
    with pytest.raises(initctl.RuleError) as raised:
        initctl.plan("/no/such/file", rules=[rule])
    (problem,) = raised.value.problems
    assert problem.excerpt is not None
    assert rule[problem.excerpt.start : problem.excerpt.stop] == at
    assert problem.excerpt.text == rule


def test_rows_beyond_the_last_get_the_advice_to_add_them_first(tmp_path: Path):
    for bounds in ("[10:]", "[10:12]", "[0:11]"):
        (problem,) = refused(tmp_path, TABLE, f"emb.weight{bounds}=mean_rows:of=0:3")
        assert problem.hint is not None
        assert "--rows 'PATTERN=N' changes it" in problem.hint
        assert problem.hint.endswith("see initctl help rows")
    for bounds in ("[5:2]", "[-11:]"):
        (problem,) = refused(tmp_path, TABLE, f"emb.weight{bounds}=zeros")
        assert problem.hint is None


def test_a_tensor_without_dims_has_no_rows(tmp_path: Path):
    assert "tensor scale []: it has no dimensions" in refusal(tmp_path, TABLE, "scale[0:1]=zeros")
    assert "it has no dimensions, so it has no rows" in refusal(tmp_path, TABLE, "scale[:]=keep")


def test_a_tensor_without_rows_takes_the_slice_of_all(tmp_path: Path):
    plan = planned(tmp_path, TABLE, "empty[:]=normal")
    assert parts(plan, "empty") == [(None, "rule 1")]
    assert "the rule takes rows from 1 on, but the tensor has 0" in refusal(tmp_path, TABLE, "empty[1:]=normal")


def test_several_slices_of_one_tensor_each_decide_their_rows(tmp_path: Path):
    plan = planned(tmp_path, TABLE, "emb.weight[:2]=zeros", "emb.weight[5:7]=ones", "emb.weight[-1:]=normal")
    assert parts(plan, "emb.weight") == [
        ((0, 2), "rule 1"), ((2, 5), None), ((5, 7), "rule 2"), ((7, 9), None), ((9, 10), "rule 3"),
    ]  # fmt: skip


def test_a_later_slice_takes_its_rows_from_a_whole_tensor_and_from_another_slice(tmp_path: Path):
    plan = planned(tmp_path, TABLE, "*=zeros", "emb.*[2:6]=ones", "emb.weight[4:8]=keep")
    assert parts(plan, "emb.weight") == [
        ((0, 2), "rule 1"), ((2, 4), "rule 2"), ((4, 8), "rule 3"), ((8, 10), "rule 1"),
    ]  # fmt: skip
    assert parts(plan, "emb.bias") == [((0, 2), "rule 1"), ((2, 6), "rule 2"), ((6, 10), "rule 1")]
    (kept,) = plan.kept
    assert (kept.rows, kept.to_json()["rows"], kept.part.numel) == ((4, 8), [4, 8], 16)


def test_a_later_whole_rule_takes_all_rows_back(tmp_path: Path):
    problems = refused(tmp_path, TABLE, "emb.weight[2:6]=ones", "emb.weight=zeros")
    assert codes(problems) == ["rule.overridden"]
    assert "rule 2 (emb.weight=zeros) overrides all its matches" in str(problems[0])


def test_a_rule_that_several_slices_override_together_is_told_all_of_them(tmp_path: Path):
    rules = ["emb.weight[2:6]=ones", "emb.weight[:4]=zeros", "emb.weight[4:8]=keep", "emb.weight[9:]=ones"]
    (problem,) = refused(tmp_path, TABLE, *rules)
    assert problem.code == "rule.overridden"
    assert "rule 2 (" in problem.message
    assert "rule 3 (" in problem.message
    assert "rule 4 (" not in problem.message


def test_a_whole_rule_is_overridden_only_once_no_row_is_left_to_it(tmp_path: Path):
    assert planned(tmp_path, TABLE, "emb.weight=ones", "emb.weight[:9]=zeros").actions
    problems = refused(tmp_path, TABLE, "emb.weight=ones", "emb.weight[:9]=zeros", "emb.weight[9:]=keep")
    assert codes(problems) == ["rule.overridden"]
    (warning,) = planned(tmp_path, TABLE, "emb.weight=ones", "emb.weight[:]=zeros", allow_unused=True).warnings
    assert warning.code == "rule.overridden"


def test_where_is_asked_before_rows(tmp_path: Path):
    recipe = tmp_path / "r.toml"
    recipe.write_text('[[rule]]\nmatch = "*[8:]"\nwhere = "ndim > 0 and shape[0] == 10"\ninit = "zeros"\n')
    plan = planned(tmp_path, TABLE, recipes=[recipe])
    assert [(a.tensor.name, a.rows) for a in plan.actions] == [("emb.weight", (8, 10)), ("emb.bias", (8, 10))]


def test_captures_and_layers_tell_rows(tmp_path: Path):
    plan = planned(tmp_path, LAYERS, "layers.{n}.weight[n:n+layers/2]=zeros")
    assert [a.rows for a in plan.actions] == [(0, 2), (1, 3), (2, 4), (3, 5)]


def test_rows_that_only_some_tensors_have_are_refused_with_how_many_lack_them(tmp_path: Path):
    problems = refused(tmp_path, LAYERS, "layers.*[5:]=zeros")
    assert [problem.code for problem in problems] == ["rule.unfit"] * 3
    assert "tensor layers.0.weight [3, 2]" in problems[0].message
    assert "the rule takes rows from 5 on, but the tensor has 3" in problems[0].message
    same = {f"l.{n}.w": ("F32", [3]) for n in range(5)}
    assert "tensor l.0.w [3] (and 4 more like it)" in refusal(tmp_path, same, "*[5:]=zeros")


def test_require_all_wants_every_row(tmp_path: Path):
    table = {"emb.weight": ("F32", [10, 4])}
    problems = refused(tmp_path, table, "emb.weight[:9]=zeros", require_all=True)
    assert codes(problems) == ["tensor.undecided"]
    assert planned(tmp_path, table, "emb.weight[:9]=zeros", "emb.weight[9:]=keep", require_all=True).actions


def test_totals_count_a_partly_filled_tensor_on_both_sides_and_its_elements_once(tmp_path: Path):
    totals = planned(tmp_path, TABLE, "emb.weight[:3]=zeros").to_json()["totals"]
    assert totals["initialized"] == {"tensors": 1, "elements": 12, "bytes": 48}
    assert totals["kept"]["elements"] == 28 + 10 + 1
    assert totals["elements"] == totals["initialized"]["elements"] + totals["kept"]["elements"]


SLICE = st.tuples(st.none() | st.integers(-10, 10), st.none() | st.integers(-10, 10))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=120)
@given(
    rules=st.lists(
        st.tuples(st.sampled_from(["*", "emb.*", "emb.weight", "emb.bias"]), SLICE, st.booleans()),
        min_size=1,
        max_size=6,
    )
)
def test_parts_are_disjoint_cover_every_tensor_and_are_the_last_rules(
    tmp_path: Path, rules: list[tuple[str, tuple[int | None, int | None], bool]]
):
    matched = {"*": {"emb.weight", "emb.bias"}, "emb.*": {"emb.weight", "emb.bias"}}
    table = {name: TABLE[name] for name in ("emb.weight", "emb.bias")}
    texts, expected = [], {name: [None] * 10 for name in table}
    for pattern, (start, stop), keeps in rules:
        taken = range(10)[start:stop]
        if not taken:
            continue
        number = len(texts) + 1
        bounds = ":".join("" if bound is None else str(bound) for bound in (start, stop))
        texts.append(f"{pattern}[{bounds}]={'keep' if keeps else 'ones'}")
        for name in matched.get(pattern, {pattern}):
            for row in taken:
                expected[name][row] = f"rule {number}"
    if not texts:
        return
    plan = planned(tmp_path, table, *texts, allow_unused=True)
    for name, rows in expected.items():
        found: list[str | None] = []
        for part, source in parts(plan, name):
            start, stop = part or (0, 10)
            assert start == len(found)
            found += [source] * (stop - start)
        assert found == rows
    assert sum(entry.part.numel for entry in (*plan.actions, *plan.kept)) == sum(prod(s) for _, s in table.values())
    deciding = {source for rows in expected.values() for source in rows}
    idle = [f"rule {n}" for n in range(1, len(texts) + 1) if f"rule {n}" not in deciding]
    assert [w.message.split(" (")[0] for w in plan.warnings if w.code == "rule.overridden"] == idle


def tied_file(folder: Path) -> Path:
    shared = torch.ones(6, 2)
    torch.save({"head.weight": shared, "emb.weight": shared, "other": torch.ones(6, 2)}, folder / "tied.pt")
    return folder / "tied.pt"


def test_tied_tensors_must_have_the_same_rows_decided_alike(tmp_path: Path):
    path = tied_file(tmp_path)
    for rules in (["emb.weight[2:]=zeros"], ["emb.weight[2:]=zeros", "head.weight[3:]=zeros"]):
        with pytest.raises(initctl.FitError) as raised:
            initctl.plan(path, rules=rules)
        (problem,) = raised.value.problems
        assert problem.code == "rule.tied"
        assert problem.hint == "write '{emb,head}.weight[2:]=zeros'"
    plan = initctl.plan(path, rules=["{emb,head}.weight[2:]=zeros"])
    assert [(a.tensor.name, a.rows) for a in plan.actions] == [("head.weight", (2, 6)), ("emb.weight", (2, 6))]
    assert len(plan.distinct_actions) == 1
    assert plan.initialized.elements == 8


def test_the_rule_proposed_for_tied_tensors_is_one_that_works(tmp_path: Path):
    path = tied_file(tmp_path)
    with pytest.raises(initctl.FitError) as raised:
        initctl.plan(path, rules=["emb.weight[1 : -1]=constant:val=2"])
    hint = raised.value.problems[0].hint
    assert hint
    rule = hint.removeprefix("write '").removesuffix("'")
    assert [a.rows for a in initctl.plan(path, rules=[rule]).actions] == [(1, 5), (1, 5)]


def test_slices_of_two_names_for_the_same_rows_may_be_written_differently(tmp_path: Path):
    plan = initctl.plan(tied_file(tmp_path), rules=["emb.weight[2:]=zeros", "head.weight[-4:6]=zeros"])
    assert len(plan.distinct_actions) == 1


def test_rows_of_a_view_that_share_nothing_with_another_are_filled(tmp_path: Path):
    base = torch.ones(8, 2)
    torch.save({"all": base, "last": base[6:]}, tmp_path / "m.pt")
    assert initctl.plan(tmp_path / "m.pt", rules=["all[:6]=normal"]).actions
    for rule in ("all[:7]=normal", "all[5:]=normal"):
        with pytest.raises(initctl.FitError, match="shares memory with last"):
            initctl.plan(tmp_path / "m.pt", rules=[rule])
