"""Tensors that share memory in a file of torch.save: decided alike, or apart, or not at all."""

from __future__ import annotations

import argparse
import contextlib
import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
import torch

import initctl
from tests.planning.tables import codes

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from initctl.errors import Problem

HINTED = re.compile(r"write '(.*)'$")


def saved(folder: Path, state: Mapping[str, Any]) -> Path:
    path = folder / "in.pt"
    torch.save(dict(state), path)
    return path


def refused(folder: Path, state: Mapping[str, Any], *rules: str) -> tuple[Problem, ...]:
    with pytest.raises(initctl.FitError) as raised:
        initctl.plan(saved(folder, state), rules=rules)
    return raised.value.problems


def refusal(folder: Path, state: Mapping[str, Any], *rules: str) -> str:
    (problem,) = refused(folder, state, *rules)
    return str(problem)


def filled(folder: Path, state: Mapping[str, Any], *rules: str) -> dict[str, Any]:
    initctl.apply(saved(folder, state), folder / "out.pt", rules=rules)
    return torch.load(folder / "out.pt")


def tied(*names: str) -> dict[str, torch.Tensor]:
    """One tensor under several names, and others that their patterns might reach by mistake."""
    one = torch.arange(12.0).reshape(3, 4)
    return dict.fromkeys(names, one) | {"other.weight": torch.arange(4.0)}


NAMES = [
    ("embed.weight", "out.weight"),
    ("model.embed.weight", "lm_head.weight"),
    ("a", "b.c.d"),
    ("a.b", "a.b.c"),
    ("a.b", "b"),
    ("a.a", "a"),
    ("x.0.weight", "x.1.weight", "x.2.weight"),
    ("enc.embed.weight", "dec.embed.weight", "head.weight", "a.b.c.d.weight"),
    ("w[0]", "w[1]"),
    ("a*b.weight", "a?b.weight"),
    ("{a,b}.weight", "a,b.weight"),
    ("back\\slash.w", "w\\"),
    ("a=b.weight", "c:d.weight"),
    ("w!", "[!a]"),
    ("a..b", "a.b"),
    ("", "w"),
    (".", ".."),
    ("w ", " w"),
    ("naïve.weight", "重み.weight"),
    ("x[1:3]", "y[0:2]"),
]  # fmt: skip


@pytest.mark.parametrize("names", NAMES, ids="|".join)
def test_the_rule_that_is_proposed_for_tied_tensors_decides_them_and_no_others(tmp_path: Path, names: tuple[str, ...]):
    state = tied(*names)
    first = re.sub(r"[\\*?\[\]{},=]", lambda found: f"\\{found[0]}", names[-1]).replace(" ", "[ ]")
    rule = f"{first}=normal:mean=5,std=0.1"
    told = refusal(tmp_path, state, rule)
    assert "are one tensor, but rules treat them differently: " in told
    assert f"by rule 1 ({rule}" in told
    found = HINTED.search(told)
    assert found, told
    after = filled(tmp_path, state, found[1])
    assert all(after[name].data_ptr() == after[names[0]].data_ptr() for name in names)
    assert (after[names[0]].sub(5).abs() < 1).all()
    assert torch.equal(after["other.weight"], state["other.weight"])


def test_every_tied_name_and_the_rule_that_decides_it_are_told(tmp_path: Path):
    state = tied("a.weight", "b.weight", "c.weight")
    told = refusal(tmp_path, state, "a.weight=ones", "b.weight=zeros")
    assert told == (
        "a.weight, b.weight, c.weight are one tensor, but rules treat them differently: "
        "a.weight by rule 1 (a.weight=ones), "
        "b.weight by rule 2 (b.weight=zeros), c.weight by no rule; write '{a,b,c}.weight=ones'"
    )
    assert codes(refused(tmp_path, state, "a.weight=ones")) == ["rule.tied"]


@pytest.mark.parametrize("rules", [
    ("{a,b}.weight=normal",), ("a.weight=normal", "b.weight=normal"), ("*=zeros", "[ab].weight=normal:std=2,mean=1"),
    ("a.weight=normal:std=1,mean=0", "b.weight=normal:mean=0,std=1"),
])  # fmt: skip
def test_tied_tensors_that_are_decided_alike_stay_tied(tmp_path: Path, rules: tuple[str, ...]):
    after = filled(tmp_path, tied("a.weight", "b.weight"), *rules)
    assert after["a.weight"].data_ptr() == after["b.weight"].data_ptr()


@pytest.mark.parametrize("rules", [
    ("a.weight=normal", "b.weight=normal:std=2"), ("a.weight=zeros", "b.weight=ones"), ("*=zeros", "b.weight=keep"),
    ("*=ones", "a.weight=orthogonal"),
])  # fmt: skip
def test_tied_tensors_that_are_decided_apart_are_refused_and_keep_counts(tmp_path: Path, rules: tuple[str, ...]):
    assert codes(refused(tmp_path, tied("a.weight", "b.weight"), *rules)) == ["rule.tied"]


def test_each_set_of_tied_tensors_is_told(tmp_path: Path):
    one, other = torch.ones(2), torch.ones(3)
    state = {"a": one, "b": one, "c": other, "d": other, "e": torch.ones(2)}
    assert codes(refused(tmp_path, state, "a=zeros", "c=zeros")) == ["rule.tied", "rule.tied"]


def test_values_of_tied_tensors_follow_from_the_first_of_their_names(tmp_path: Path):
    alone = filled(tmp_path, {"a.weight": torch.zeros(3, 4)}, "*=normal")
    assert torch.equal(filled(tmp_path, tied("b.weight", "a.weight"), "?.weight=normal")["b.weight"], alone["a.weight"])


def test_tensors_that_overlap_and_are_decided_apart_are_an_error_that_names_both(tmp_path: Path):
    base = torch.arange(10.0)
    state = {"whole": base, "part": base[2:5]}
    told = refusal(tmp_path, state, "whole=normal", "part=ones")
    assert "whole" in told
    assert "part" in told
    assert "shares memory with" in told
    for rules in (("*=normal",), ("whole=zeros", "part=ones"), ("part=zeros",), ("whole=zeros", "part=keep")):
        assert set(codes(refused(tmp_path, state, *rules))) == {"rule.overlap"}


@pytest.mark.parametrize(
    "rules", [("*=zeros",), ("whole=ones", "part=ones"), ("*=constant:val=3",), ("*=bias_from_prob",)]
)
def test_tensors_that_overlap_may_hold_the_same_constant(tmp_path: Path, rules: tuple[str, ...]):
    base = torch.arange(10.0)
    after = filled(tmp_path, {"whole": base, "part": base[2:5]}, *rules)
    assert len(set(after["whole"].tolist())) == 1
    assert torch.equal(after["whole"][2:5], after["part"])


@pytest.mark.parametrize("rules", [("*=nan",), ("whole=nan", "part=nan")])
def test_tensors_that_overlap_may_both_hold_nan(tmp_path: Path, rules: tuple[str, ...]):
    base = torch.arange(10.0)
    after = filled(tmp_path, {"whole": base, "part": base[2:5]}, *rules)
    assert after["whole"].isnan().all()
    assert after["part"].isnan().all()


def test_views_that_share_a_storage_and_no_element_are_apart(tmp_path: Path):
    base = torch.arange(24.0).reshape(4, 6)
    state = {"left": base[:, :3], "right": base[:, 3:], "even": torch.arange(8.0)[::2]}
    after = filled(tmp_path, state, "left=normal", "even=ones")
    assert torch.equal(after["right"], state["right"])
    assert not torch.equal(after["left"], state["left"])
    alone = filled(tmp_path, {"left": base[:, :3].clone()}, "left=normal")
    assert torch.equal(after["left"], alone["left"])


def test_interleaved_views_are_apart_and_a_third_across_them_is_not(tmp_path: Path):
    base = torch.arange(10.0)
    assert initctl.plan(saved(tmp_path, {"even": base[::2], "odd": base[1::2]}), rules=["even=normal", "odd=ones"])
    told = refused(tmp_path, {"even": base[::2], "odd": base[1::2], "thirds": base[::3]}, "even=normal", "odd=normal")
    assert codes(told) == ["rule.overlap"] * 2


def test_what_lies_outside_of_the_root_and_shares_memory_is_an_error_naming_it(tmp_path: Path):
    base = torch.arange(10.0)
    for shared in (base, base[3:4], base.view(2, 5)):
        told = refusal(tmp_path, {"model": {"w": base, "v": torch.ones(2)}, "ema": {"x": shared}}, "w=zeros")
        assert "tensor w shares memory with ema.x, which no rule fills" in told
    assert initctl.plan(tmp_path / "in.pt", rules=["v=zeros"])


def test_a_transposed_view_of_a_tensor_is_that_tensor_in_another_order(tmp_path: Path):
    base = torch.arange(6.0).reshape(2, 3)
    state = {"w": base, "t": base.T}
    assert set(codes(refused(tmp_path, state, "*=normal"))) == {"rule.overlap"}
    assert torch.equal(filled(tmp_path, state, "*=ones")["w"], torch.ones(2, 3))


def test_an_expanded_tensor_takes_constants_alone(tmp_path: Path):
    state = {"w": torch.arange(3.0)[:, None].expand(3, 4)}
    assert "it is expanded" in refusal(tmp_path, state, "w=normal")
    assert torch.equal(filled(tmp_path, state, "w=constant:val=2")["w"], torch.full((3, 4), 2.0))
    assert filled(tmp_path, state, "w=nan")["w"].isnan().all()


def test_a_tensor_whose_elements_overlap_otherwise_takes_nothing(tmp_path: Path):
    state = {"w": torch.arange(8.0).as_strided((3, 3), (2, 1)), "v": torch.ones(2)}
    for call in ("zeros", "normal"):
        assert "its elements share memory with each other" in refusal(tmp_path, state, f"w={call}")
    assert torch.equal(filled(tmp_path, state, "v=zeros")["w"], state["w"])


def test_strides_that_do_not_overlap_are_filled_by_their_logical_index(tmp_path: Path):
    scattered = torch.zeros(40).as_strided((3, 4), (13, 2), 1)
    after = filled(tmp_path, {"w": scattered}, "w=normal")
    assert torch.equal(after["w"], filled(tmp_path, {"w": torch.zeros(3, 4)}, "w=normal")["w"])


@pytest.mark.parametrize("rule", ["*=normal", "v0=zeros"])
def test_many_views_of_one_storage_are_told_apart_in_time(tmp_path: Path, rule: str):
    base = torch.zeros(3000, 16)
    path = saved(tmp_path, {f"v{i}": base[:, i : i + 1] for i in range(16)} | {f"r{i}": base[i] for i in range(3000)})
    begun = time.process_time()
    with pytest.raises(initctl.FitError):
        initctl.plan(path, rules=[rule])
    assert time.process_time() - begun < 20


def test_many_views_that_are_apart_are_planned_in_time(tmp_path: Path):
    base = torch.zeros(64, 600)
    path = saved(tmp_path, {f"v{i}": base[:, i] for i in range(600)})
    begun = time.process_time()
    assert len(initctl.plan(path, rules=["*=normal"]).actions) == 600
    assert time.process_time() - begun < 10


def test_views_that_are_hard_to_tell_apart_are_decided_in_time(tmp_path: Path):
    base = torch.zeros(8000)
    one = base.as_strided((30, 2), (21, 4007), 45)
    other = base.as_strided((30, 2, 30, 2, 2, 4, 30, 2), (21, 4007, 7, 21, 21, 7, 14, 330), 5)
    path = saved(tmp_path, {"model": {"w": one}, "x": [other] * 130})
    begun = time.process_time()
    with contextlib.suppress(initctl.FitError):
        initctl.plan(path, rules=["w=zeros"])
    assert time.process_time() - begun < 30


def test_many_views_that_no_rule_fills_cost_no_more_than_their_number(tmp_path: Path):
    base = torch.zeros(2, 20_000)
    path = saved(tmp_path, {f"v{i}": base[:, i] for i in range(20_000)} | {"other": torch.zeros(2)})
    begun = time.process_time()
    assert len(initctl.plan(path, rules=["other=ones"]).actions) == 1
    assert time.process_time() - begun < 30


def test_a_tensor_that_an_unknown_object_holds_too_is_not_changed_behind_its_back(tmp_path: Path):
    weight = torch.ones(3)
    torch.save({"state_dict": {"w": weight}, "held": argparse.Namespace(t=weight)}, tmp_path / "in.pt")
    with pytest.raises(initctl.FitError, match=r"w shares memory with held\.t, which no rule fills; add root=''"):
        initctl.plan(tmp_path / "in.pt", rules=["w=zeros"])
    initctl.apply(tmp_path / "in.pt", tmp_path / "out.pt", rules=["{state_dict.w,held.t}=zeros"], root="")
    after = torch.load(tmp_path / "out.pt", weights_only=False)
    assert after["held"].t.data_ptr() == after["state_dict"]["w"].data_ptr()
    assert not after["held"].t.any()


class Slotted:
    __slots__ = ("t",)

    def __init__(self, t: torch.Tensor) -> None:
        self.t = t


@dataclass(slots=True)
class Record:
    t: torch.Tensor


class Ordered:
    """Is saved as a tuple of what it holds."""

    def __init__(self, t: torch.Tensor) -> None:
        self.t = t

    def __getstate__(self) -> tuple[torch.Tensor]:
        return (self.t,)


class Keeping(torch.nn.Linear):
    """A module that keeps what its state dict does not list: a tensor in an attribute."""

    def __init__(self, t: torch.Tensor) -> None:
        super().__init__(1, 1)
        self.cache = [t]


class Setting:
    """Is given its attributes by a call of its own."""

    def __init__(self, t: torch.Tensor | None = None) -> None:
        self.t = t

    def __reduce__(self) -> tuple[object, ...]:
        return Setting, (), self.__dict__, None, None, set_attributes


def set_attributes(made: object, attributes: dict[str, object]) -> None:
    vars(made).update(attributes)


def with_attribute(weight: torch.Tensor) -> torch.nn.Parameter:
    found = torch.nn.Parameter(torch.zeros(2))
    found.before = weight  # type: ignore[attr-defined]
    return found


@pytest.mark.parametrize("holding", [Slotted, Record, Ordered, lambda w: {(1, 2): Ordered(w)}, lambda w: {w}])
def test_what_an_object_holds_in_slots_or_in_an_order_of_its_own_has_a_name(tmp_path: Path, holding):
    weight = torch.arange(6.0)
    told = refusal(tmp_path, {"model": {"w": weight}, "held": holding(weight)}, "w=zeros")
    assert re.search(r"w shares memory with held\b\S*, which no rule fills; add --root ''", told)


@pytest.mark.parametrize("holding", [
    lambda w: {w[1:]: "a key"}, lambda w: {(w[:2],): 1}, lambda w: Keeping(w.view(2, 3)),
    lambda w: torch.nn.Sequential(Keeping(w.detach())), Setting, lambda w: Setting(w[3:]),
    with_attribute, lambda w: torch.sparse_coo_tensor(torch.arange(6)[None], w, (9,), check_invariants=True),
    lambda w: torch.sparse_csr_tensor(torch.tensor([0, 6]), torch.arange(6), w, (1, 6), check_invariants=True),
    lambda w: torch.nested.nested_tensor_from_jagged(w, torch.tensor([0, 2, 6])),
], ids=[
    "key", "in a key", "module's attribute", "inner module's attribute", "set by a call", "view set by a call",
    "tensor's attribute", "sparse", "sparse rows", "nested",
])  # fmt: skip
@pytest.mark.filterwarnings("ignore:Sparse CSR tensor support")
def test_what_leads_to_a_tensor_without_a_name_of_its_own_is_not_changed_behind_its_back(tmp_path: Path, holding):
    weight = torch.arange(6.0)
    state = {"model": {"w": weight, "v": torch.ones(2)}, "held": holding(weight)}
    told = refusal(tmp_path, state, "w=zeros")
    assert re.search(
        r"tensor w shares memory with an entry at (held\S*|a place without a name), which no rule can",
        told,
    )
    assert initctl.plan(tmp_path / "in.pt", rules=["v=zeros"])
    assert initctl.plan(tmp_path / "in.pt", rules=["model.v=zeros"], root="")


class Keeper:
    """Is saved as its storage alone."""

    def __init__(self, t: torch.UntypedStorage) -> None:
        self.t = t

    def __getstate__(self) -> torch.UntypedStorage:
        return self.t


class Called(Keeper):
    """Is made anew from its storage."""

    def __reduce__(self) -> tuple[object, ...]:
        return Called, (self.t,)


@pytest.mark.parametrize("holding", [lambda s: s, lambda s: [s], Ordered, Keeper, Called])
def test_a_bare_storage_counts_as_what_leads_to_its_tensors(tmp_path: Path, holding):
    weight = torch.arange(6, dtype=torch.uint8)
    told = refusal(tmp_path, {"model": {"w": weight}, "held": holding(weight.untyped_storage())}, "w=zeros")
    assert re.search(r"tensor w shares memory with an entry at (the top|held), which no rule", told)


def test_bytes_that_no_view_covers_are_not_shared(tmp_path: Path):
    base = torch.arange(10.0)
    module = torch.nn.Module()
    module.register_buffer("a", base[:4])
    module.register_buffer("b", base[4:], persistent=False)
    for state in ({"a": base[:4], "held": {base[8:]: 1}}, {"a": base[:4], "held": Setting(base[4:])}, module):
        torch.save(state, tmp_path / "in.pt")
        assert initctl.plan(tmp_path / "in.pt", rules=["a=zeros"])


@pytest.mark.parametrize("holding", [
    lambda w: {w: "a key"}, lambda w: {(w,): 1}, Keeping, lambda w: torch.nn.Sequential(Keeping(w)),
], ids=["key", "in a key", "module's attribute", "inner module's attribute"])  # fmt: skip
def test_what_refers_to_a_listed_tensor_itself_refers_to_it_afterwards(tmp_path: Path, holding):
    weight = torch.arange(6.0)
    torch.save({"model": {"w": weight}, "held": holding(weight)}, tmp_path / "in.pt")
    assert initctl.plan(tmp_path / "in.pt", rules=["w=zeros"])


@pytest.mark.parametrize("whole", [False, True])
def test_an_optimizer_that_was_saved_as_an_object_goes_with_its_parameters(tmp_path: Path, whole: bool):
    module = torch.nn.Linear(3, 2)
    optimizer = torch.optim.Adam(module.parameters())
    module(torch.ones(3)).sum().backward()
    optimizer.step()
    torch.save({"model": module if whole else module.state_dict(), "optimizer": optimizer}, tmp_path / "in.pt")
    rule = "{model.weight,optimizer.param_groups.0.params.0}=zeros"
    with pytest.raises(initctl.FitError, match="add root=''"):
        initctl.plan(tmp_path / "in.pt", rules=["weight=zeros"])
    initctl.apply(tmp_path / "in.pt", tmp_path / "out.pt", rules=[rule], root="")
    after = torch.load(tmp_path / "out.pt", weights_only=False)
    weight = after["model"].weight if whole else after["model"]["weight"]
    assert not weight.any()
    assert after["optimizer"].param_groups[0]["params"][0].data_ptr() == weight.data_ptr()


def test_many_tensors_that_share_memory_alike_are_told_together(tmp_path: Path):
    tensors = {f"layer{i}.weight": torch.ones(3) for i in range(150)}
    told = refusal(tmp_path, {"model": tensors, "best": dict(tensors)}, "*=zeros")
    assert "tensor layer0.weight (and 149 more like it) shares memory with best.layer0.weight" in told


def test_a_module_may_keep_its_own_tensors_in_other_places_too(tmp_path: Path):
    module = torch.nn.Sequential(torch.nn.LSTM(2, 3, num_layers=2), torch.nn.Linear(3, 3))
    module.tied = module[1].weight
    module.every = list(module.parameters())
    torch.save(module, tmp_path / "in.pt")
    assert len(initctl.plan(tmp_path / "in.pt", rules=["{*.weight*,tied}=normal"]).actions) == 6


def test_a_rule_that_keeps_one_of_tied_tensors_is_named(tmp_path: Path):
    told = refusal(tmp_path, tied("a.weight", "b.weight"), "*.weight=ones", "b.weight=keep")
    assert "a.weight by rule 1 (*.weight=ones), b.weight by rule 2 (b.weight=keep)" in told


def test_the_rule_that_is_proposed_has_numbers_since_another_name_may_give_none(tmp_path: Path):
    bias = torch.zeros(5)
    state = {"cls.bias": bias, "cls.decoder.bias": bias, "cls.decoder.weight": torch.zeros(5, 4)}
    rule = "*.bias=uniform:a=-1/sqrt(sibling.weight.fan_in),b=1/sqrt(sibling.weight.fan_in) where sibling.weight"
    told = refusal(tmp_path, state, rule)
    assert told.endswith("; write 'cls.{bias,decoder.bias}=uniform:a=-0.5,b=0.5'")
    plan = initctl.plan(tmp_path / "in.pt", rules=[rule, HINTED.search(told)[1]], allow_unused=True)
    assert [action.params for action in plan.actions] == [{"a": -0.5, "b": 0.5}] * 2
