"""A small checkpoint of a real network, initialized by rules, and read back to see what changed."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import initctl
from initctl.commit.failure import storage_errors
from initctl.display.tables import Displayed, Listing, Report
from initctl.errors import ConflictError, Problem, shown

if TYPE_CHECKING:
    from initctl.applied import Applied

RULES = (
    "*.weight=kaiming_normal:nonlinearity=relu",
    "*.bias=zeros",
    "conv.weight=normal:std=0.1",
    "embedding.weight=normal:std=0.02",
    "norm.weight=ones",
    "head.weight=trunc_normal:std=0.02,cut=2",
    "fc1.*=keep",
)
_HEADING = ("tensor", "mean", "mean after", "std", "std after", "bytes")


class DemoChange(NamedTuple):
    """One tensor: its mean and standard deviation before and after, whether its bytes changed, and whether they are
    what they should be.
    """

    tensor: str
    mean: tuple[float, float]
    std: tuple[float, float]
    changed: bool
    verified: bool


@dataclass(frozen=True, slots=True, repr=False)
class Demo(Displayed):
    """The checkpoint of a demonstration, what was applied to it, and each tensor before and after."""

    checkpoint: str
    applied: Applied
    changes: tuple[DemoChange, ...]

    @property
    def wrong(self) -> list[str]:
        """The tensors that do not hold what they should."""
        return [change.tensor for change in self.changes if not change.verified]

    def to_json(self) -> dict[str, Any]:
        changes = [change._asdict() for change in self.changes]
        return {**self.applied.to_json(), "verified": not self.wrong, "changes": changes}

    def report(self, *, unfold: bool = False) -> Report:
        """The commands, what they did, and each tensor before and after."""
        rules = [f"      -r '{rule}'" for rule in RULES]
        command = " \\\n".join((f"$ initctl plan {shown(self.checkpoint)}", *rules))
        changes = Listing(_HEADING, list(map(_row, self.changes)), right=_HEADING[1:-1])
        apply = f"$ initctl apply {shown(self.checkpoint)} -o {shown(self.applied.output)} …"
        planned = (command, "", *self.applied.plan.report(unfold=unfold), "")
        read_back = "ruled tensors hold the values of their rules, all others are the same to the byte"
        if self.wrong:
            read_back = f"{', '.join(map(shown, self.wrong))} is not what it should be"
        return [*planned, apply, "", *self.applied.summary(), "", changes, "", f"read back: {read_back}"]


def _row(change: DemoChange) -> tuple[str, ...]:
    numbers = (f"{value:.4f}" for value in (*change.mean, *change.std))
    return shown(change.tensor), *numbers, "changed" if change.changed else "the same"


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
    applied = initctl.apply(checkpoint, output, rules=RULES, threads=threads)
    return Demo(checkpoint, applied, _changes(checkpoint, applied))


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


def _changes(checkpoint: str, applied: Applied) -> tuple[DemoChange, ...]:
    """Each tensor as the safetensors library reads it from both files, and whether verifying it finds it right."""
    from safetensors.numpy import load_file

    before, after = load_file(checkpoint), load_file(applied.output)
    wrong = {found.tensor for found in initctl.verify(applied.plan, applied.output).differences}
    return tuple(
        DemoChange(
            name,
            (float(values.mean()), float(after[name].mean())),
            (float(values.std()), float(after[name].std())),
            changed=values.tobytes() != after[name].tobytes(),
            verified=name not in wrong,
        )
        for name, values in before.items()
    )
