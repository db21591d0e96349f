"""A model in memory beside its file: the tensors of both, after the same rules."""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING, Any

import torch

import initctl

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from initctl.planning import Plan


def bits(tensor: torch.Tensor) -> bytes:
    """The bytes of the elements in row-major order."""
    copy = tensor.detach().cpu().clone(memory_format=torch.contiguous_format)  # `numpy` would forbid to resize its own
    return copy.view(-1).view(torch.uint8).numpy().tobytes()


def assert_same_bits(one: Mapping[str, torch.Tensor], other: Mapping[str, torch.Tensor]) -> None:
    assert one.keys() == other.keys()
    assert [name for name in one if bits(one[name]) != bits(other[name])] == []


def applied(state_dict: Mapping[str, torch.Tensor], folder: Path, **asked: Any) -> dict[str, torch.Tensor]:
    """What the file of a state dict holds after `initctl.apply`."""
    torch.save(dict(state_dict), folder / "before.pt")
    initctl.apply(folder / "before.pt", folder / "after.pt", **asked)
    return torch.load(folder / "after.pt")


def assert_as_in_the_file(model: Any, folder: Path, rules: Sequence[str] = (), **asked: Any) -> Plan:
    """Fill `model` and its file by the same rules. Both are the same afterwards, and something changed."""
    state_dict = model if isinstance(model, dict) else model.state_dict()
    before = deepcopy(dict(state_dict))
    expected = applied(before, folder, rules=rules, **asked)
    plan = initctl.init_(model, rules=rules, **asked)
    assert_same_bits(expected, state_dict)
    assert any(bits(state_dict[name]) != bits(before[name]) for name in before)
    return plan
