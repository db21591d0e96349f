"""timm: a state dict, what its training script saves (`timm.utils.CheckpointSaver`), and a folder for the hub."""

from __future__ import annotations

import argparse
import os
from typing import TYPE_CHECKING

import timm
import torch
from timm.models.vision_transformer import VisionTransformer
from timm.utils import CheckpointSaver, ModelEmaV3

from tests.field.layout import Job, Layout, Record
from tests.field.make.training import buffers, integers, moments, named, parameters, seeded, stepped

if TYPE_CHECKING:
    from torch import Tensor


def _vit() -> VisionTransformer:
    return VisionTransformer(img_size=16, patch_size=8, embed_dim=12, depth=1, num_heads=2, num_classes=5)


def _resnet() -> torch.nn.Module:
    block = timm.models.resnet.BasicBlock
    return timm.models.resnet.ResNet(block, (1, 1, 1, 1), channels=(4, 4, 8, 8), num_classes=5, stem_width=4)


def _write_vit(folder: str) -> Record:
    model = seeded(_vit)
    torch.save(model.state_dict(), os.path.join(folder, "vit.pth"))
    return Record("vit.pth", parameters=parameters(model))


def _load_vit(path: str) -> dict[str, Tensor]:
    model = _vit()
    timm.models.load_checkpoint(model, path)
    return model.state_dict()


def _write_resnet(folder: str) -> Record:
    model = seeded(_resnet)
    torch.save(model.state_dict(), os.path.join(folder, "resnet.pth"))
    return Record("resnet.pth", "", parameters(model), buffers(model), integers(model))


def _load_resnet(path: str) -> dict[str, Tensor]:
    model = _resnet()
    timm.models.load_checkpoint(model, path)
    return model.state_dict()


def _write_training(folder: str) -> Record:
    model = seeded(_vit)
    optimizer = stepped(model, torch.optim.AdamW(model.parameters()), torch.randn(2, 3, 16, 16))
    copy = ModelEmaV3(model)
    args = argparse.Namespace(model="vit", lr=1e-3)
    saver = CheckpointSaver(model, optimizer, args=args, model_ema=copy, checkpoint_dir=folder, recovery_dir=folder)
    saver._save(os.path.join(folder, "last.pth.tar"), epoch=1)
    return Record("last.pth.tar", "state_dict", parameters(model), warned=("state_dict_ema",))


def _load_training(path: str) -> dict[str, Tensor]:
    """What `--resume` of timm's training script has: the model, its optimizer, and the copy of moving averages."""
    model = _vit()
    optimizer = torch.optim.AdamW(model.parameters())
    timm.models.resume_checkpoint(model, path, optimizer, log_info=False)
    copy = ModelEmaV3(model)
    timm.models.load_checkpoint(copy.module, path, use_ema=True)
    return {**model.state_dict(), **moments(model, optimizer), **named("ema", copy.module.state_dict())}


def _write_hub(folder: str) -> Record:
    model = seeded(_vit)
    model.pretrained_cfg = model.default_cfg = {"architecture": "vit", "input_size": (3, 16, 16)}
    timm.models.save_for_hf(model, folder, model_config={"num_classes": 5}, safe_serialization="both")
    return Record("", "", parameters(model), refused="pytorch_model.bin")


def _load_hub(path: str) -> dict[str, Tensor]:
    model = _vit()
    state = timm.models._hub.load_state_dict_from_path(path)
    model.load_state_dict(state)
    return model.state_dict()


_HEAD = ("-r", "head.weight=normal:std=0.01", "-r", "head.bias=zeros")

LAYOUTS = (
    Layout(
        "vit",
        _write_vit,
        _load_vit,
        "timm.models.load_checkpoint",
        (
            Job("reset the head", _HEAD, ("head.*",), "out.pth"),
            Job("a wildcard", ("-r", "*.weight=normal:std=0.02"), ("*.weight",), "out.pth"),
            Job("preset", ("-p", "vit"), output="out.pth", refused="allow-partial"),
            Job("conversion", (), (), "out.safetensors"),
        ),
    ),
    Layout(
        "resnet",
        _write_resnet,
        _load_resnet,
        "timm.models.load_checkpoint",
        (
            Job("reset the head", ("-r", "fc.*=normal:std=0.01"), ("fc.*",), "out.pth"),
            Job("preset", ("-p", "resnet-torchvision"), ("*.weight", "*.bias", "*.running_*"), "out.pth"),
            Job("another's preset", ("-p", "bert"), output="out.pth", refused="allow-partial"),
        ),
    ),
    Layout(
        "training",
        _write_training,
        _load_training,
        "timm.models.resume_checkpoint",
        (
            Job("reset the head", _HEAD, ("head.*",), "out.pth.tar", warned="state_dict_ema"),
            Job(
                "with its optimizer",
                (*_HEAD, "--reset-optimizer"),
                ("head.*", "moments/head.*"),
                "out.pth.tar",
                warned="state_dict_ema",
            ),
            Job("a wildcard", ("-r", "*=normal:std=0.02"), ("[!me]*", "mlp*"), "out.pth.tar", warned="state_dict_ema"),
        ),
    ),
    Layout(
        "hub",
        _write_hub,
        _load_hub,
        "timm.models.load_state_dict_from_path",
        (
            Job("reset the head", _HEAD, refused="pytorch_model.bin"),
            Job("without the old twin", (*_HEAD, "--stale", "drop"), ("head.*",)),
        ),
    ),
)
