"""fairseq, by hand: what its trainer saves, with the optimizer of `--fp16` over one flat parameter.

PyPI has fairseq as a source that no longer builds. The layout is that of `fairseq/trainer.py`, `Trainer.state_dict`,
and `fairseq/optim/fp16_optimizer.py`, `FP16Optimizer` (`build_fp32_params(flatten=True)`).
"""

from __future__ import annotations

import argparse
import os
from typing import TYPE_CHECKING

import torch
from torch import nn

from tests.field.layout import Job, Layout, Record
from tests.field.make.training import named, parameters, seeded

if TYPE_CHECKING:
    from torch import Tensor


def _model() -> nn.Module:
    return nn.ModuleDict({"embed": nn.Embedding(8, 4), "out": nn.Linear(4, 8, bias=False)})


def _write(folder: str) -> Record:
    model = seeded(_model).half()
    flat = nn.Parameter(torch.cat([p.detach().float().flatten() for p in model.parameters()]))
    optimizer = torch.optim.Adam([flat])
    flat.grad = torch.ones_like(flat)
    optimizer.step()
    saved = {
        "args": None,
        "cfg": {"common": {"fp16": True}, "task": argparse.Namespace(_name="language_modeling")},
        "model": model.state_dict(),
        "criterion": None,
        "optimizer_history": [{"optimizer_name": "FP16Optimizer", "num_updates": 1}],
        "task_state": {},
        "extra_state": {"metrics": {}, "previous_training_time": 0.0, "epoch": 1},
        "last_optimizer_state": {**optimizer.state_dict(), "loss_scale": 128.0},
    }
    torch.save(saved, os.path.join(folder, "checkpoint_last.pt"))
    return Record("checkpoint_last.pt", "model", parameters(model))


def _load(path: str) -> dict[str, Tensor]:
    saved = torch.load(path, weights_only=False)
    model = _model().half()
    model.load_state_dict(saved["model"])
    return {**model.state_dict(), **named("moments", saved["last_optimizer_state"]["state"][0])}


_HEAD = ("-r", "out.weight=normal:std=0.01")

LAYOUTS = (
    Layout(
        "fp16",
        _write,
        _load,
        "load_state_dict",
        (
            Job("reset the head", _HEAD, ("out.weight",), "out.pt", warned="--reset-optimizer"),
            Job("with its optimizer", (*_HEAD, "--reset-optimizer"), output="out.pt", refused="last_optimizer_state"),
        ),
        by_hand=True,
    ),
)
