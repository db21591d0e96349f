"""accelerate: folders of `Accelerator.save_state`, with the optimizer in the next file, and of `save_model`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from accelerate import Accelerator
from torch import nn

from tests.field.layout import Job, Layout, Record
from tests.field.make.training import moments, named, parameters, seeded, stepped

if TYPE_CHECKING:
    from torch import Tensor


class _Counter:
    """What `register_for_checkpointing` takes: here something of a tensor, beside the weights."""

    def __init__(self) -> None:
        self.average = {"0.weight": torch.ones(8, 4)}

    def state_dict(self) -> dict[str, Tensor]:
        return self.average

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        self.average = state


def _model() -> nn.Module:
    return nn.Sequential(nn.Linear(4, 8), nn.Linear(8, 4), nn.Linear(4, 4))


def _prepared(optimizer: type[torch.optim.Optimizer]) -> tuple[Accelerator, nn.Module, torch.optim.Optimizer, _Counter]:
    accelerator = Accelerator(cpu=True)
    model = seeded(_model)
    with_model = accelerator.prepare(model, optimizer(model.parameters(), lr=0.1))
    counter = _Counter()
    accelerator.register_for_checkpointing(counter)
    return accelerator, *with_model, counter


def _write_state(
    folder: str, optimizer: type[torch.optim.Optimizer] = torch.optim.AdamW, *, safe: bool = True
) -> Record:
    accelerator, model, prepared, _ = _prepared(optimizer)
    stepped(model, prepared, torch.randn(2, 4))
    accelerator.save_state(folder, safe_serialization=safe)
    return Record("", "", parameters(model), warned=("optimizer.bin",))


def _load_state(path: str, optimizer: type[torch.optim.Optimizer] = torch.optim.AdamW) -> dict[str, Tensor]:
    accelerator, model, prepared, counter = _prepared(optimizer)
    accelerator.load_state(path)
    kept = moments(model, prepared.optimizer)
    return {**model.state_dict(), **kept, **named("counter", counter.average)}


def _write_old(folder: str) -> Record:
    return _write_state(folder, safe=False)


def _write_adafactor(folder: str) -> Record:
    return _write_state(folder, torch.optim.Adafactor)


def _load_adafactor(path: str) -> dict[str, Tensor]:
    return _load_state(path, torch.optim.Adafactor)


def _write_sharded(folder: str) -> Record:
    accelerator, model, *_ = _prepared(torch.optim.AdamW)
    accelerator.save_model(model, folder, max_shard_size=200)
    return Record("", "", parameters(model))


def _load_sharded(path: str) -> dict[str, Tensor]:
    from accelerate import load_checkpoint_in_model

    model = _model()
    load_checkpoint_in_model(model, path)
    return model.state_dict()


_HEAD = ("-r", "2.*=normal:std=0.01")
_WEIGHT = ("-r", "2.weight=normal:std=0.01", "--reset-optimizer")
_OPTIMIZER = (*_HEAD, "--reset-optimizer")
_LOADER = "Accelerator.load_state"

LAYOUTS = (
    Layout(
        "state",
        _write_state,
        _load_state,
        _LOADER,
        (
            Job("reset the head", _HEAD, ("2.*",), warned="optimizer.bin"),
            Job("with its optimizer, of equal shapes", _OPTIMIZER, refused="optimizer.bin"),
            Job("a weight with its optimizer", _WEIGHT, ("2.weight", "moments/2.weight/*")),
            Job("a weight with its optimizer, in place", _WEIGHT, ("2.weight", "moments/2.weight/*"), None),
        ),
    ),
    Layout(
        "state_bin",
        _write_old,
        _load_state,
        _LOADER,
        (
            Job("reset the head", _HEAD, ("2.*",), warned="optimizer.bin"),
            Job("with its optimizer", _OPTIMIZER, ("2.*", "moments/2.*")),
        ),
    ),
    Layout(
        "state_adafactor",
        _write_adafactor,
        _load_adafactor,
        _LOADER,
        (Job("a weight with its optimizer", _WEIGHT, ("2.weight", "moments/2.weight/*")),),
    ),
    Layout(
        "model_sharded",
        _write_sharded,
        _load_sharded,
        "load_checkpoint_in_model",
        (
            Job("reset the head", _HEAD, ("2.*",)),
            Job("a wildcard", ("-r", "*=normal:std=0.02"), ("*",)),
        ),
    ),
)
