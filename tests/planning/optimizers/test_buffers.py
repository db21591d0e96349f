"""--buffers: what no optimizer was given, if it has a parameter's shape."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import nn, optim

import initctl
from tests.planning.optimizers.networks import begun_anew, refusal

if TYPE_CHECKING:
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
    assert "which of them are the tensors of shape [3]; name the buffers among them with --buffers, or" in told


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
