"""A tour of the commands on a small network: each does real work and shows its real output."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import initctl
from initctl.commit.failure import storage_errors
from initctl.display.colors import HEADING
from initctl.display.tables import Displayed, Report, Toned
from initctl.errors import ConflictError, Problem, StorageError, shown
from initctl.system_errors import check_working_directory

CHECKPOINT, OUTPUT = "net.safetensors", "init.safetensors"
RULES = ("fc*.weight=kaiming_normal:nonlinearity=relu", "*.bias=zeros")


class Step(NamedTuple):
    """The reason for a command, the command, and its result."""

    reason: str
    command: tuple[str, ...]
    result: Displayed

    def report(self) -> Report:
        """The reason, the command as typed, and its output."""
        command = shlex.join(("initctl", *self.command))
        return [f"# {self.reason}", Toned(f"$ {command}", HEADING), *self.result.report(), ""]


@dataclass(frozen=True, slots=True, repr=False)
class Demo(Displayed):
    """The steps of a tour whose files are in `directory`, and whether the result was `verified`."""

    directory: str
    steps: tuple[Step, ...]
    verified: bool

    def to_json(self) -> dict[str, Any]:
        steps = [{"command": ["initctl", *step.command]} for step in self.steps]
        return {"directory": self.directory, "verified": self.verified, "steps": steps}

    def report(self, *, unfold: bool = False) -> Report:  # noqa: ARG002 - a small network is not folded
        """Every step, and the directory of the files."""
        steps = [part for step in self.steps for part in step.report()]
        return [
            *steps,
            f"The files are in {shown(self.directory)}: go there and try more. `initctl help` lists the topics.",
        ]


def demonstrate(directory: str, *, threads: int | None = None) -> Demo:
    """Write a checkpoint into `directory`, and run one command after another on it.

    Raises `StorageError` if it is a file, and `ConflictError` if one of its files exists: it may be somebody's model.
    """
    checkpoint, output = (os.path.join(directory, name) for name in (CHECKPOINT, OUTPUT))
    if os.path.isfile(directory):
        raise StorageError(Problem("storage.failed", f"{shown(directory)}: is a file", "name a directory"))
    if taken := next(filter(os.path.lexists, (checkpoint, output)), None):
        raise ConflictError(Problem("output.exists", f"{shown(taken)}: exists", "name another directory"))
    with storage_errors(directory):
        os.makedirs(directory, exist_ok=True)
        _write_network(checkpoint)
    steps = tuple(_steps(checkpoint, output, threads))
    return Demo(directory, steps, bool(steps[-1].result))


def _steps(checkpoint: str, output: str, threads: int | None) -> Iterator[Step]:
    """One step after another, each when the one before is done."""
    rules = [word for rule in RULES for word in ("-r", rule)]
    plan = initctl.plan(checkpoint, rules=RULES)
    yield Step("Which tensors are there?", ("inspect", CHECKPOINT), plan.checkpoint)
    yield Step("What would these rules do? Nothing is written.", ("plan", CHECKPOINT, *rules), plan)
    applied = initctl.apply(plan, output, threads=threads)
    yield Step("Do it.", ("apply", CHECKPOINT, "-o", OUTPUT, *rules), applied)
    yield Step("What is there now?", ("stats", OUTPUT), initctl.stats(output, threads=threads))
    yield Step("Is anything wrong with it?", ("doctor", OUTPUT), initctl.doctor(output, threads=threads))
    differences = initctl.diff(checkpoint, output, threads=threads)
    yield Step("What changed?", ("diff", CHECKPOINT, OUTPUT), differences)
    verification = initctl.verify(plan, output, threads=threads)
    command = ("verify", OUTPUT, *rules, "--against", CHECKPOINT)
    yield Step("Are all values right, and is everything else unchanged?", command, verification)


def _write_network(path: str) -> None:
    check_working_directory()
    import torch
    from safetensors.torch import save
    from torch import nn

    torch.manual_seed(0)
    network = nn.ModuleDict({"fc1": nn.Linear(100, 50), "norm": nn.LayerNorm(50), "fc2": nn.Linear(50, 10)})
    content = save(network.state_dict())
    with open(path, "xb") as stream:
        stream.write(content)
