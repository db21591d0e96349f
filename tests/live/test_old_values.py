"""Initializers that start from old values read them before they are overwritten."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
from safetensors.torch import save_file

import initctl
from tests.live.files import applied, assert_as_in_the_file

if TYPE_CHECKING:
    from pathlib import Path


def weights(seed: int = 0) -> dict[str, torch.Tensor]:
    """Tensors in several layouts."""
    generator = torch.Generator().manual_seed(seed)
    return {
        "a": torch.randn(40, 30, generator=generator),
        "b": torch.randn(40, 30, generator=generator),
        "t": torch.randn(30, 40, generator=generator).t(),
        "half": torch.randn(40, 30, generator=generator).bfloat16(),
        "complex": torch.randn(40, 30, dtype=torch.complex64, generator=generator),
        "gaps": torch.randn(40, 60, generator=generator)[:, ::2],
    }


RULES = {
    "scaled": ["{a,half,t,gaps}=scale:by=0.5"],
    "disturbed": ["{a,half,t,gaps}=perturb:scale=0.4,std=0.1"],
    "disturbed by a share": ["{a,half,t,gaps}=perturb:scale=0.4,std=0.1,rel=true"],
    "partly drawn again": ["{a,half,t,gaps}=reinit:p=0.5,std=0.02"],
    "as before": ["{a,half,t,gaps}=match_stats"],
    "shuffled": ["{a,half,t,complex,gaps}=permute_rows"],
    "the mean of rows that another rule fills": [
        "a=normal",
        "a[20:]=mean_rows:of=0:10",
        "t=ones",
        "t[20:]=mean_rows:of=0:9",
    ],
    "the mean of rows": ["a[20:]=mean_rows:of=0:10,std=0.1"],
    "exchanged": ["a=copy:from=b", "b=copy:from=a"],
    "handed on": ["a=normal", "b=copy:from=a", "t=copy:from=b", "half=copy:from=t"],
    "one row of a filled tensor": ["b=copy:from=a,row=3", "a=zeros"],
    "scaled in part": ["a[:10]=scale:by=2", "a[10:]=perturb:std=1,rel=true"],
    "itself": ["a=copy:from=a", "b=zeros"],
}


@pytest.mark.parametrize("threads", [1, 4])
@pytest.mark.parametrize("rules", RULES.values(), ids=RULES)
def test_values_from_old_ones_are_those_of_the_file(rules: list[str], threads: int, tmp_path: Path):
    state = weights()
    expected = applied(weights(), tmp_path, rules=rules)
    initctl.init_(state, rules=rules, threads=threads)
    assert [name for name, tensor in expected.items() if not torch.equal(tensor, state[name])] == []


def test_a_large_tensor_is_shuffled_and_exchanged_as_in_its_file(tmp_path: Path):
    state = {"a": torch.randn(5000, 2000), "b": torch.randn(5000, 2000)}
    assert_as_in_the_file(state, tmp_path, ["a=permute_rows", "b=copy:from=a"])


def test_a_tensor_is_copied_from_a_file(tmp_path: Path):
    save_file({"other": torch.full((40, 30), 3.0)}, tmp_path / "other.safetensors")
    state = weights()
    initctl.init_(state, rules=[f"a=copy:from={tmp_path / 'other.safetensors'}#other"])
    assert (state["a"] == 3).all()


def test_tied_tensors_are_scaled_once():
    weight = torch.ones(3)
    initctl.init_({"a": weight, "b": weight}, rules=["{a,b}=scale:by=2"])
    assert weight.tolist() == [2, 2, 2]


def test_old_values_that_are_not_finite_are_refused_before_anything_is_written():
    state = {"a": torch.zeros(4), "b": torch.tensor([1.0, float("nan")])}
    with pytest.raises(initctl.FitError, match="NaN"):
        initctl.init_(state, rules=["a=ones", "b=match_stats"])
    assert not state["a"].any()


def test_values_too_large_for_the_tensor_are_refused():
    with pytest.raises(initctl.FitError, match="overflow"):
        initctl.init_({"a": torch.full((4,), 60000.0, dtype=torch.float16)}, rules=["a=scale:by=2"])
