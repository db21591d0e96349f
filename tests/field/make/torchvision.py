"""torchvision: state dicts, and what `references/classification/train.py` saves with `utils.save_on_master`."""

from __future__ import annotations

import argparse
import os
from typing import TYPE_CHECKING

import torch
from torchvision.models import ShuffleNetV2, VisionTransformer
from torchvision.models.detection import FasterRCNN
from torchvision.models.detection.rpn import AnchorGenerator
from torchvision.ops import MultiScaleRoIAlign

from tests.field.layout import Job, Layout, Record
from tests.field.make.training import buffers, integers, moments, named, parameters, seeded, stepped

if TYPE_CHECKING:
    from torch import Tensor


def _shufflenet() -> ShuffleNetV2:
    return ShuffleNetV2([1, 1, 1], [4, 4, 8, 8, 16], num_classes=5)


def _vit() -> VisionTransformer:
    return VisionTransformer(32, 16, num_layers=1, num_heads=2, hidden_dim=8, mlp_dim=16, num_classes=5)


def _rcnn() -> FasterRCNN:
    backbone = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3, 2))
    backbone.out_channels = 4
    anchors = AnchorGenerator(((32,),), ((1.0,),))
    pooled = {
        "box_roi_pool": MultiScaleRoIAlign(["0"], 1, 2),
        "box_head": torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(4, 8)),
    }
    predictor = {"box_predictor": _Predictor()}
    return FasterRCNN(backbone, rpn_anchor_generator=anchors, **pooled, **predictor)


class _Predictor(torch.nn.Module):
    """As torchvision's own, of a size that fits here."""

    def __init__(self) -> None:
        super().__init__()
        self.cls_score = torch.nn.Linear(8, 3)
        self.bbox_pred = torch.nn.Linear(8, 12)


def _write_vit(folder: str) -> Record:
    model = seeded(_vit)
    torch.save(model.state_dict(), os.path.join(folder, "vit.pth"))
    return Record("vit.pth", "", parameters(model))


def _load_vit(path: str) -> dict[str, Tensor]:
    return _strictly(_vit(), torch.load(path, weights_only=True))


def _strictly(model: torch.nn.Module, state: dict[str, Tensor]) -> dict[str, Tensor]:
    model.load_state_dict(state)
    return model.state_dict()


def _averaged(model: torch.nn.Module) -> torch.optim.swa_utils.AveragedModel:
    """As `references/classification/utils.ExponentialMovingAverage`."""
    return torch.optim.swa_utils.AveragedModel(model, use_buffers=True)


def _write_training(folder: str) -> Record:
    model = seeded(_shufflenet)
    optimizer = stepped(model, torch.optim.SGD(model.parameters(), 0.1, momentum=0.9), torch.randn(2, 3, 32, 32))
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, 1)
    average = _averaged(model)
    average.update_parameters(model)
    saved = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "lr_scheduler": schedule.state_dict()}
    rest = {"epoch": 1, "args": argparse.Namespace(lr=0.1), "model_ema": average.state_dict()}
    torch.save(saved | rest, os.path.join(folder, "checkpoint.pth"))
    return Record("checkpoint.pth", "model", parameters(model), buffers(model), integers(model), warned=("model_ema",))


def _load_training(path: str) -> dict[str, Tensor]:
    saved = torch.load(path, weights_only=False)
    model = _shufflenet()
    optimizer = torch.optim.SGD(model.parameters(), 0.1, momentum=0.9)
    average = _averaged(model)
    state = _strictly(model, saved["model"])
    optimizer.load_state_dict(saved["optimizer"])
    average.load_state_dict(saved["model_ema"])
    return {**state, **moments(model, optimizer), **named("ema", average.state_dict())}


def _load_averaged(path: str) -> dict[str, Tensor]:
    """The copy of moving averages alone, which the training script evaluates."""
    average = _averaged(_shufflenet())
    average.load_state_dict(torch.load(path, weights_only=False)["model_ema"])
    return dict(average.state_dict())


def _write_detector(folder: str) -> Record:
    model = seeded(_rcnn)
    torch.save(model.state_dict(), os.path.join(folder, "fasterrcnn.pth"))
    return Record("fasterrcnn.pth", "", parameters(model))


def _load_detector(path: str) -> dict[str, Tensor]:
    return _strictly(_rcnn(), torch.load(path, weights_only=True))


_HEAD = ("-r", "fc.*=normal:std=0.01")

LAYOUTS = (
    Layout(
        "vit",
        _write_vit,
        _load_vit,
        "load_state_dict",
        (
            Job("reset the head", ("-r", "heads.head.weight=zeros"), ("heads.head.weight",), "out.pth"),
            Job("a wildcard", ("-r", "encoder.*=normal:std=0.02"), ("encoder.*",), "out.pth"),
            Job("another's preset", ("-p", "vit"), output="out.pth", refused="allow-partial"),
        ),
    ),
    Layout(
        "training",
        _write_training,
        _load_training,
        "load_state_dict of the script",
        (
            Job("reset the head", _HEAD, ("fc.*",), "out.pth", warned="model_ema"),
            Job(
                "with its optimizer",
                (*_HEAD, "--reset-optimizer"),
                ("fc.*", "moments/fc.*"),
                "out.pth",
                warned="model_ema",
            ),
            Job(
                "preset",
                ("-p", "torch-default"),
                ("[!me]*.weight", "[!me]*.bias", "[!e]*.running_*"),
                "out.pth",
                warned="model_ema",
            ),
        ),
    ),
    Layout(
        "training",
        _write_training,
        _load_averaged,
        "AveragedModel.load_state_dict",
        (
            Job(
                "the averages",
                ("--root", "model_ema", "-r", "module.fc.*=normal:std=0.01"),
                ("module.fc.*",),
                "out.pth",
            ),
        ),
    ),
    Layout(
        "detector",
        _write_detector,
        _load_detector,
        "load_state_dict",
        (Job("reset the head", ("-r", "*box_predictor.*=normal:std=0.01"), ("*box_predictor.*",), "out.pth"),),
    ),
)
