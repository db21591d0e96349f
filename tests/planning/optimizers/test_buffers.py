"""--buffers: what no optimizer was given, if it has a parameter's shape."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import nn, optim

import initctl
from tests.planning.optimizers.networks import begun_anew, refusal

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


class Model(nn.Module):
    """As a LightningModule with `CrossEntropyLoss(weight=…)`: a buffer is as long as the head's bias."""

    def __init__(self) -> None:
        super().__init__()
        self.loss = nn.CrossEntropyLoss(weight=torch.rand(3))
        self.body, self.head = nn.Linear(4, 5), nn.Linear(5, 3)


@pytest.fixture
def lightning(tmp_path: Path) -> Path:
    model = Model()
    optimizer = optim.AdamW(model.parameters())
    model.loss(model.head(model.body(torch.randn(6, 4))), torch.tensor([0, 1, 2, 0, 1, 2])).backward()
    optimizer.step()
    torch.save({"state_dict": model.state_dict(), "optimizer_states": [optimizer.state_dict()]}, tmp_path / "in.ckpt")
    return tmp_path / "in.ckpt"


def test_a_buffer_of_a_parameters_shape_is_refused_with_a_way_out(lightning: Path):
    told = refusal(lightning, "head.*=zeros")
    assert (
        "it has state of only 1 of loss.weight, head.bias, of shape [3]; name the tensors that it has no state of "
        "(buffers, frozen parameters) with --buffers, or leave the flag out, and start"
    ) in told


def fine_tuned(folder: Path, give: Callable[[nn.Sequential], Any]) -> Path:
    """Three layers of equal shapes and a loss weight. Only the last layer is trained."""
    net = nn.Sequential(*(nn.Linear(4, 4) for _ in range(3)))
    net[:2].requires_grad_(False)
    optimizer = optim.AdamW(give(net))
    net(torch.rand(3, 4)).sum().backward()
    optimizer.step()
    held = {"loss.weight": torch.rand(4), **net.state_dict()}
    torch.save({"state_dict": held, "optimizer_states": [optimizer.state_dict()]}, folder / "in.ckpt")
    return folder / "in.ckpt"


FINE_TUNED: dict[str, tuple[Callable[[nn.Sequential], Any], set[int]]] = {
    "the head alone": (lambda net: net[2].parameters(), {0, 1}),
    "all in one group": (lambda net: net.parameters(), {4, 5}),
    "all, decay and none": (
        lambda net: [{"params": [p for p in net.parameters() if (p.ndim > 1) is matrix]} for matrix in (True, False)],
        {2, 5},
    ),
}


@pytest.mark.parametrize("given", FINE_TUNED)
def test_frozen_parameters_are_named_as_tensors_without_state(tmp_path: Path, given: str):
    give, numbers = FINE_TUNED[given]
    path, out = fine_tuned(tmp_path, give), tmp_path / "out.ckpt"
    told = refusal(path, "2.*=zeros")
    assert "of shape [4" in told
    assert "(buffers, frozen parameters) with --buffers" in told
    initctl.apply(path, out, rules=["2.*=zeros"], reset_optimizer=True, buffers=["loss.*", "{0,1}.*"])
    before, after = (torch.load(file)["optimizer_states"][0] for file in (path, out))
    assert begun_anew(before, after) == numbers


def test_frozen_parameters_that_have_no_filled_tensors_shape_need_no_name(tmp_path: Path):
    model = Model()
    model.body.requires_grad_(False)
    groups = [{"params": [p for p in model.parameters() if (p.ndim > 1) is matrix]} for matrix in (True, False)]
    optimizer = optim.AdamW(groups)
    model.head(model.body(torch.randn(6, 4))).sum().backward()
    optimizer.step()
    held = {"state_dict": model.state_dict(), "optimizer_states": [optimizer.state_dict()]}
    torch.save(held, tmp_path / "in.ckpt")
    initctl.apply(tmp_path / "in.ckpt", tmp_path / "out.ckpt", rules=["head.weight=zeros"], reset_optimizer=True)
    before, after = (torch.load(tmp_path / name)["optimizer_states"][0] for name in ("in.ckpt", "out.ckpt"))
    assert begun_anew(before, after) == {1}


def test_a_parameter_without_state_may_be_another_networks_tensor(tmp_path: Path):
    one, other = nn.Linear(4, 4), nn.Linear(4, 4)
    one.requires_grad_(False)
    optimizer = optim.AdamW([*one.parameters(), *other.parameters()])
    other(torch.rand(3, 4)).sum().backward()
    optimizer.step()
    held = {"model": one.state_dict(), "teacher": other.state_dict(), "optimizer": optimizer.state_dict()}
    torch.save(held, tmp_path / "in.ckpt")
    assert "it has no state of parameter 0, so that may be any tensor" in refusal(tmp_path / "in.ckpt", "bias=zeros")


@pytest.mark.parametrize("buffers", [["loss.weight"], ["loss.*"], ["los?.*", "*.running_mean*", "loss.weight"][::2]])
def test_buffers_make_the_match_certain(lightning: Path, buffers: list[str]):
    out = lightning.with_name("out.ckpt")
    options: dict[str, Any] = {"rules": ["head.*=zeros"], "reset_optimizer": True, "buffers": buffers}
    initctl.apply(lightning, out, **options)
    before, after = (torch.load(path)["optimizer_states"][0] for path in (lightning, out))
    assert begun_anew(before, after) == {2, 3}
    assert initctl.verify(lightning, out, **options).holds


def test_a_saved_plan_keeps_them(lightning: Path):
    plan = initctl.plan(lightning, rules=["head.*=zeros"], reset_optimizer=True, buffers=["loss.*"])
    plan.save(lightning.with_name("plan.json"))
    done = initctl.apply(
        initctl.load_plan(lightning.with_name("plan.json"), lightning), lightning.with_name("out.ckpt")
    )
    assert done.plan.reset_totals == plan.reset_totals


def test_a_pattern_that_matches_nothing_is_refused(lightning: Path):
    with pytest.raises(initctl.FitError) as raised:
        initctl.plan(lightning, rules=["head.*=zeros"], reset_optimizer=True, buffers=["loss.*", "los.weight"])
    (problem,) = raised.value.problems
    assert str(problem).startswith("buffers: los.weight matches no tensor; did you mean loss.weight")


@pytest.mark.parametrize("options", [{"buffers": ["loss.*"]}, {"buffers": "loss.*", "reset_optimizer": True}])
def test_they_need_the_flag_and_are_a_list(lightning: Path, options: dict[str, Any]):
    with pytest.raises(initctl.UsageError, match="buffers: "):
        initctl.plan(lightning, rules=["head.*=zeros"], **options)
