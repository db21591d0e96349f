"""A small checkpoint of a real network, initialized by rules, and read back to see what changed."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import initctl
from initctl.commit import storage_errors
from initctl.errors import ConflictError, Problem, shown

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from initctl.applied import Applied
    from initctl.planning import Plan

RULES = (
    "*.weight=kaiming_normal:nonlinearity=relu",
    "*.bias=zeros",
    "conv.weight=normal:std=0.1",
    "embedding.weight=normal:std=0.02",
    "norm.weight=ones",
    "head.weight=trunc_normal:std=0.02,cut=2",
    "fc1.*=keep",
)


@dataclass(frozen=True, slots=True)
class Change:
    """One tensor before and after: mean and standard deviation, and whether its bytes are what they should be."""

    tensor: str
    before: tuple[float, float]
    after: tuple[float, float]
    changed: bool
    verified: bool


@dataclass(frozen=True, slots=True)
class Demo:
    """The files of a demonstration, what was applied, and each tensor before and after."""

    checkpoint: str
    plan: Plan
    applied: Applied
    changes: tuple[Change, ...]

    @property
    def verified(self) -> bool:
        """Whether every tensor holds what it should."""
        return all(change.verified for change in self.changes)

    def to_json(self) -> dict[str, Any]:
        return {
            **self.applied.to_json(),
            "verified": self.verified,
            "changes": [
                {
                    "tensor": change.tensor,
                    "mean": [change.before[0], change.after[0]],
                    "std": [change.before[1], change.after[1]],
                    "changed": change.changed,
                    "verified": change.verified,
                }
                for change in self.changes
            ],
        }


def demonstrate(directory: str, *, threads: int | None = None) -> Demo:
    """Write a checkpoint into `directory`, plan and apply `RULES`, and verify the result by reading it back.

    Raises `ConflictError` where one of its files is there already: it may be somebody's model.
    """
    checkpoint, output = (os.path.join(directory, name) for name in ("model.safetensors", "initialized.safetensors"))
    if taken := next(filter(os.path.lexists, (checkpoint, output)), None):
        raise ConflictError(Problem("output.exists", f"{shown(taken)}: exists", "name another directory"))
    with storage_errors(directory):
        os.makedirs(directory, exist_ok=True)
        _write_network(checkpoint)
    plan = initctl.plan(checkpoint, rules=RULES)
    applied = initctl.apply(plan, output, threads=threads)
    return Demo(checkpoint, plan, applied, _changes(checkpoint, applied))


def _write_network(path: str) -> None:
    import torch
    from safetensors.torch import save
    from torch import nn

    torch.manual_seed(0)
    network = nn.ModuleDict(
        {
            "embedding": nn.Embedding(1000, 64),
            "conv": nn.Conv2d(3, 16, kernel_size=3),
            "norm": nn.BatchNorm2d(16),
            "fc1": nn.Linear(64, 128),
            "fc2": nn.Linear(128, 64),
            "head": nn.Linear(64, 10),
        }
    )
    content = save(network.state_dict(), metadata={"format": "pt"})
    with open(path, "xb") as stream:
        stream.write(content)


def _changes(checkpoint: str, applied: Applied) -> tuple[Change, ...]:
    """Each tensor as the safetensors library reads it from both files, and whether verifying it finds it right."""
    from safetensors.numpy import load_file

    before, after = load_file(checkpoint), load_file(applied.output)
    wrong = {found.tensor for found in initctl.verify(applied.plan, applied.output).differences}
    return tuple(
        Change(
            name,
            _moments(before[name]),
            _moments(after[name]),
            changed=before[name].tobytes() != after[name].tobytes(),
            verified=name not in wrong,
        )
        for name in before
    )


def _moments(values: NDArray[np.generic]) -> tuple[float, float]:
    return float(values.mean()), float(values.std())
