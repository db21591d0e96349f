"""ultralytics: `last.pt` of its trainer, which holds whole modules, and an optimizer without names."""

from __future__ import annotations

import copy
import os
from types import SimpleNamespace
from typing import TYPE_CHECKING

import torch
import ultralytics
from ultralytics.engine.trainer import BaseTrainer
from ultralytics.nn.tasks import ClassificationModel, load_checkpoint
from ultralytics.utils.torch_utils import ModelEMA, convert_optimizer_state_dict_to_fp16

from tests.field.layout import Job, Layout, Record
from tests.field.make.training import buffers, integers, moments, parameters, seeded, stepped

if TYPE_CHECKING:
    from torch import Tensor

_CLASSIFIER = {
    "nc": 2,
    "ch": 3,
    "backbone": [[-1, 1, "Conv", [4, 3, 2]], [-1, 1, "Conv", [4, 3, 2]]],
    "head": [[-1, 1, "nn.AdaptiveAvgPool2d", [1]], [-1, 1, "nn.Flatten", []], [-1, 1, "nn.Linear", [8, 2]]],
}


def _classifier() -> ClassificationModel:
    return ClassificationModel(copy.deepcopy(_CLASSIFIER), verbose=False)


def _optimizer(model: torch.nn.Module) -> torch.optim.Optimizer:
    """The trainer's own: its groups are weights, norms and biases, so its numbers are not in the order of names."""
    return BaseTrainer.build_optimizer(SimpleNamespace(), model, "AdamW")


def _write(folder: str) -> Record:
    """As `BaseTrainer.save_model`: `model` is None, the weights are those of `ema`."""
    model = seeded(_classifier).train()
    optimizer = stepped(model, _optimizer(model), torch.randn(2, 3, 32, 32))
    average = ModelEMA(model)
    saved = {
        "epoch": 1,
        "best_fitness": 0.5,
        "model": None,
        "ema": copy.deepcopy(average.ema).half(),
        "updates": average.updates,
        "optimizer": convert_optimizer_state_dict_to_fp16(copy.deepcopy(optimizer.state_dict())),
        "scaler": {},
        "train_args": {"task": "classify", "imgsz": 32},
        "version": ultralytics.__version__,
    }
    torch.save(saved, os.path.join(folder, "last.pt"))
    return Record("last.pt", "ema", parameters(model), buffers(model), integers(model))


def _load(path: str) -> dict[str, Tensor]:
    """As `BaseTrainer._load_checkpoint_state`: the model, and its optimizer."""
    model, saved = load_checkpoint(path)
    model.requires_grad_(True)
    optimizer = _optimizer(model)
    optimizer.load_state_dict(saved["optimizer"])
    return {**model.state_dict(), **moments(model, optimizer)}


def _write_best(folder: str) -> Record:
    """As `strip_optimizer` leaves `best.pt`: `model` alone."""
    model = seeded(_classifier)
    saved = {"epoch": -1, "model": model.half(), "ema": None, "optimizer": None, "train_args": {"task": "classify"}}
    torch.save(saved, os.path.join(folder, "best.pt"))
    return Record("best.pt", "model", parameters(model), buffers(model), integers(model))


def _load_best(path: str) -> dict[str, Tensor]:
    model, _ = load_checkpoint(path)
    return dict(model.state_dict())


_HEAD = ("-r", "model.4.*=normal:std=0.01")

LAYOUTS = (
    Layout(
        "last",
        _write,
        _load,
        "ultralytics.nn.tasks.load_checkpoint",
        (
            Job("reset the head", _HEAD, ("model.4.*",), "out.pt"),
            Job("with its optimizer", (*_HEAD, "--reset-optimizer"), ("model.4.*", "moments/model.4.*"), "out.pt"),
            Job(
                "a norm with its optimizer",
                ("-r", "model.0.bn.weight=normal:std=0.1", "--reset-optimizer"),
                output="out.pt",
                refused="optimizer",
            ),
            Job("another's preset", ("-p", "resnet-torchvision"), output="out.pt", refused="resnet-torchvision"),
        ),
    ),
    Layout(
        "best",
        _write_best,
        _load_best,
        "ultralytics.nn.tasks.load_checkpoint",
        (
            Job("reset the head", ("-r", "model.4.*=normal:std=0.01"), ("model.4.*",), "out.pt"),
            Job(
                "preset",
                ("-p", "torch-default"),
                ("*.conv.weight", "*.bn.weight", "*.bn.bias", "*.[0-9].weight", "*.[0-9].bias", "*.running_*"),
                "out.pt",
            ),
        ),
    ),
)
