"""Ranks that would fill one model differently all stop, with the same words, before one of them has written."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
import torch.distributed as dist
from safetensors.torch import save_file
from torch.distributed.tensor import init_device_mesh

import initctl
from initctl.errors import ConflictError, FitError
from initctl.live.agreement import agreed

RULES = ["*=normal:std=0.02"]


@pytest.fixture(scope="module")
def nets(tmp_path_factory):
    folder = tmp_path_factory.mktemp("nets")
    save_file({"a.weight": torch.ones(4, 2), "b.bias": torch.ones(3)}, folder / "net.safetensors")
    save_file({"a.weight": torch.ones(4, 3), "b.bias": torch.ones(3)}, folder / "other.safetensors")
    return folder


def outcome(folder, *others, shape=None, everywhere=None):
    """What a rank gets that plans as `others` say of it: its number, and arguments other than the usual."""
    usual = {"checkpoint": folder / "net.safetensors", "rules": RULES, "seed": 1, **(everywhere or {})}
    own = usual | dict(others).get(dist.get_rank(), {})
    mesh = init_device_mesh("cpu", shape or (dist.get_world_size(),))
    try:
        plan, _ = agreed([mesh.get_group(dim) for dim in range(mesh.ndim)], lambda: (initctl.plan(**own), None))
    except initctl.InitctlError as error:
        return type(error), str(error), type(error.__cause__).__name__
    return plan.seed


def test_ranks_that_plan_alike_go_on(ranks, nets):
    assert ranks.run(3, outcome, nets) == [1, 1, 1]


@pytest.mark.parametrize(
    ("others", "said"),
    [
        ([(1, {"rules": ["*=zeros"]})], "rank 1 has other rules than rank 0"),
        ([(0, {"seed": 2})], "rank 0 has another seed than rank 1"),
        ([(1, {"rng": "torch"}), (2, {"rng": "torch"})], "rank 0 has another seed than rank 1"),
    ],
)
def test_all_ranks_name_the_one_that_plans_differently(ranks, nets, others, said):
    message = f"{said}; give every rank the same model, rules and seed"
    assert ranks.run(3, outcome, nets, *others) == [(ConflictError, message, "NoneType")] * 3


def test_all_ranks_name_those_that_have_another_model(ranks, nets):
    other = {"checkpoint": nets / "other.safetensors"}
    message = "ranks 1, 3 have other tensors than rank 0; give every rank the same model, rules and seed"
    for _, found, _ in ranks.run(4, outcome, nets, (1, other), (3, other)):
        assert found == message


def test_a_rank_that_cannot_plan_stops_all_and_waits_for_none(ranks, nets):
    message = "rank 2: rule 1 (nose=zeros): matches no tensor"
    found = ranks.run(3, outcome, nets, (2, {"rules": ["nose=zeros"]}))
    assert len({said for _, said, _ in found}) == 1
    assert found[0][1].startswith(message)
    assert [cause for *_, cause in found] == ["NoneType", "NoneType", "FitError"]


def outcome_without_a_checkpoint(folder):
    """The error of a rank if the last one has a plan from which no digest can be made."""
    plan = initctl.plan(folder / "net.safetensors", rules=RULES)
    own = replace(plan, checkpoint=None) if dist.get_rank() == dist.get_world_size() - 1 else plan
    mesh = init_device_mesh("cpu", (dist.get_world_size(),))
    with pytest.raises(ConflictError) as raised:
        agreed([mesh.get_group()], lambda: (own, None))
    return str(raised.value)


def test_a_rank_whose_plan_has_no_digest_stops_all(ranks, nets):
    (message,) = set(ranks.run(2, outcome_without_a_checkpoint, nets))
    assert message.startswith("rank 1: AttributeError: ")


def test_each_fault_of_a_rank_is_a_line(ranks, nets):
    found = ranks.run(2, outcome, nets, (1, {"rules": ["nose=zeros", "mouth=ones"]}))
    assert [line.partition(" matches")[0] for line in found[0][1].splitlines()] == [
        "rank 1: rule 1 (nose=zeros):",
        "rank 1: rule 2 (mouth=ones):",
    ]


def test_if_all_fail_alike_each_raises_its_own_error(ranks, nets):
    for kind, said, _ in ranks.run(2, outcome, nets, everywhere={"rules": ["nose=zeros"]}):
        assert kind is FitError
        assert not said.startswith("rank")


def test_ranks_of_a_mesh_of_two_dims_hear_of_all_others(ranks, nets):
    found = ranks.run(4, outcome, nets, (3, {"seed": 7}), shape=(2, 2))
    assert {said for _, said, _ in found} == {
        "rank 3 has another seed than rank 0; give every rank the same model, rules and seed"
    }


def test_without_other_ranks_nothing_is_asked(nets):
    plan = initctl.plan(nets / "net.safetensors", rules=RULES, seed=3)
    assert agreed([], lambda: (plan, 5)) == (plan, 5)
