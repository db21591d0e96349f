"""A small network, its optimizers, and what became of their states."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import nn, optim

import initctl

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def network() -> nn.Sequential:
    layers = {"fc1": nn.Linear(4, 3), "norm": nn.BatchNorm1d(3), "relu": nn.ReLU(), "fc2": nn.Linear(3, 2)}
    return nn.Sequential(OrderedDict(layers))


def trained(net: nn.Module, optimizer: optim.Optimizer) -> nn.Module:
    torch.manual_seed(1)
    for _ in range(3):
        optimizer.zero_grad()
        net(torch.randn(8, 4)).square().sum().backward()
        optimizer.step()
    return net


def begun_anew(before: Mapping[str, Any], after: Mapping[str, Any]) -> set[Any]:
    """The parameters whose whole state was set back; of others every state must be equal."""
    found = set()
    assert before["param_groups"] == after["param_groups"]
    assert before["state"].keys() == after["state"].keys()
    for parameter, kept in before["state"].items():
        now = after["state"][parameter]
        assert kept.keys() == now.keys()
        if all(torch.equal(*map(torch.as_tensor, (kept[kind], now[kind]))) for kind in kept):
            continue
        assert "step" not in now or now["step"] == 0
        assert all(torch.all(torch.as_tensor(now[kind]) == (kind == "mu_product")) for kind in now if kind != "RMS")
        found.add(parameter)
    return found


def saved(folder: Path, net: nn.Module, optimizer: optim.Optimizer | Mapping[str, Any]) -> Path:
    held = optimizer.state_dict() if isinstance(optimizer, optim.Optimizer) else optimizer
    torch.save({"model": net.state_dict(), "optimizer": held}, folder / "in.ckpt")
    return folder / "in.ckpt"


def by_adamw(folder: Path, net: nn.Module | None = None) -> tuple[nn.Module, optim.Optimizer, Path]:
    net = net or network()
    optimizer = optim.AdamW(net.parameters())
    return net, optimizer, saved(folder, trained(net, optimizer), optimizer)


def reset(path: Path, *rules: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """What torch loads from `path`, and from it after `rules`."""
    out = path.with_name("out.ckpt")
    initctl.apply(path, out, rules=rules, reset_optimizer=True)
    return torch.load(path), torch.load(out)


def anew(path: Path, *rules: str) -> set[Any]:
    """The parameters of the one optimizer whose states `rules` set back."""
    before, after = reset(path, *rules)
    return begun_anew(before["optimizer"], after["optimizer"])


def refusal(path: Path, *rules: str) -> str:
    with pytest.raises(initctl.FitError) as raised:
        initctl.plan(path, rules=rules, reset_optimizer=True)
    (problem,) = raised.value.problems
    assert (problem.code, problem.message[:19]) == ("optimizer.unmatched", "--reset-optimizer: ")
    return str(problem)
