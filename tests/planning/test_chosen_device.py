"""Which device computes which tensor: the one that was asked for, or under `auto` a GPU where it is sooner."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch

import initctl
from initctl.planning import chosen_device
from tests.execution.checkpoints import single
from tests.planning.tables import planned

if TYPE_CHECKING:
    from pathlib import Path

NET = {"fc.weight": ("F32", [8, 8]), "fc.bias": ("F32", [8])}
RULES = ("fc.weight=orthogonal", "fc.bias=normal")


def planned_devices(tmp_path: Path, device: str) -> dict[str, str]:
    return {action.tensor.name: action.device for action in planned(tmp_path, NET, *RULES, device=device).actions}


def test_by_default_it_is_the_processor(tmp_path: Path):
    assert {action.device for action in planned(tmp_path, NET, *RULES).actions} == {"cpu"}


def test_a_device_that_is_asked_for_computes_all(tmp_path: Path):
    assert planned_devices(tmp_path, "cpu:0") == {"fc.weight": "cpu:0", "fc.bias": "cpu:0"}


@pytest.mark.parametrize(
    ("wins", "there", "expected"), [(True, True, "cuda"), (True, False, "cpu"), (False, True, "cpu")]
)
def test_auto_takes_a_gpu_for_decompositions_alone_where_it_wins_and_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wins: bool, there: bool, expected: str
):
    monkeypatch.setattr(chosen_device, "cuda_wins", lambda flops, threads: wins and flops > 0 < threads)
    monkeypatch.setattr("torch.cuda.is_available", lambda: there)
    monkeypatch.setattr("initctl.stream.engines.device.torch_device", torch.device)
    assert planned_devices(tmp_path, "auto") == {"fc.weight": expected, "fc.bias": "cpu"}


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_auto_takes_the_processor_where_a_gpu_is_there_but_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(chosen_device, "cuda_wins", lambda *_, **__: True)
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    assert planned_devices(tmp_path, "auto") == {"fc.weight": "cpu", "fc.bias": "cpu"}


def test_auto_does_not_ask_torch_where_nothing_is_to_be_won(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delattr("torch.cuda.is_available")
    assert planned_devices(tmp_path, "auto") == {"fc.weight": "cpu", "fc.bias": "cpu"}


def test_a_device_that_torch_does_not_know_is_a_usage_error(tmp_path: Path):
    with pytest.raises(initctl.UsageError, match="unknown device gpu"):
        planned_devices(tmp_path, "gpu")


def test_what_torch_computes_on_a_device_is_what_the_processor_computes(tmp_path: Path):
    source = single(tmp_path / "in")
    rules = ["*.weight=normal", "*.bias=uniform", "norm.weight=trunc_normal", "steps=constant:val=3"]
    for name, device in (("one", "cpu"), ("other", "cpu:0")):
        initctl.apply(source, tmp_path / name, rules=rules, device=device)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "other").read_bytes()
