"""Presets of model families give what libraries other than transformers give a fresh model, tensor by tensor."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import initctl
from tests.presets.libraries import of_diffusers, of_peft, of_timm, of_torchvision

if TYPE_CHECKING:
    from pathlib import Path

    from tests.presets.fresh import Saved
    from tests.presets.libraries import Made

OF_TIMM = {str(model): model for model in of_timm()}
OF_TORCHVISION = {str(model): model for model in of_torchvision()}
OF_DIFFUSERS = {str(model): model for model in of_diffusers()}
OF_PEFT = {str(model): model for model in of_peft()}


def saved(model: Made, folder: Path) -> Saved:
    """A checkpoint of `model` in `folder`. Skips the test if the library is not installed."""
    try:
        return model.saved(folder)
    except ImportError as error:
        pytest.skip(f"{error.name} is not installed")


@pytest.mark.parametrize("model", OF_TIMM.values(), ids=str)
def test_the_preset_gives_what_timm_gives(model: Made, tmp_path: Path):
    saved(model, tmp_path).compared(tmp_path / "out", **model.asked(tmp_path))


@pytest.mark.parametrize("model", OF_TORCHVISION.values(), ids=str)
def test_the_preset_gives_what_torchvision_gives(model: Made, tmp_path: Path):
    saved(model, tmp_path).compared(tmp_path / "out", **model.asked(tmp_path))


@pytest.mark.parametrize("model", OF_PEFT.values(), ids=str)
def test_the_preset_gives_what_peft_gives(model: Made, tmp_path: Path):
    saved(model, tmp_path).compared(tmp_path / "out", **model.asked(tmp_path))


@pytest.mark.parametrize("model", OF_DIFFUSERS.values(), ids=str)
def test_the_preset_that_config_json_chooses_gives_what_diffusers_gives(model: Made, tmp_path: Path):
    checkpoint = saved(model, tmp_path)
    checkpoint.compared(tmp_path / "out", preset="auto")
    plan = initctl.plan(checkpoint.folder, preset="auto")
    assert {action.rule.source.partition(":")[0] for action in plan.actions} == {f"preset {model.preset}"}


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        ("vit-timm: VisionTransformer", "patch_embed.proj.weight=normal:std=0.02"),
        ("vit-timm: VisionTransformer", "cls_token=zeros"),
        ("vit-timm-jax: VisionTransformer", "*.mlp.*.bias=zeros"),
        ("vit-timm-jax: VisionTransformer", "*.fc1.weight=normal:std=0.0791"),
        ("vit-timm-moco: VisionTransformer", "*.qkv.weight=xavier_uniform"),
        ("vit-torchvision: VisionTransformer", "heads.head.weight=normal:std=0.02"),
        ("convnext-torchvision: ConvNeXt", "*.layer_scale=ones"),
        ("convnext-timm: ConvNeXt", "stages.*.conv_dw.bias=uniform:a=-0.02,b=0.02"),
        ("unet-diffusers: ControlNetModel", "controlnet_down_blocks.0.weight=kaiming_uniform:a=2.2360679775"),
        ("dit-diffusers: DiTTransformer2DModel", "*.norm1.linear.weight=zeros"),
        ("lora-peft: get_peft_model (linear, saved)", "*.lora_A.weight=normal:std=0.0625"),
        ("lora-peft: get_peft_model (linear, saved)", "*.lora_B.weight=normal:std=0.02"),
    ],
)
def test_what_differs_from_the_library_is_noticed(name: str, rule: str, tmp_path: Path):
    model = {**OF_TIMM, **OF_TORCHVISION, **OF_DIFFUSERS, **OF_PEFT}[name]
    checkpoint = saved(model, tmp_path)
    with pytest.raises(AssertionError, match=r"sigma|constants differ|zeros stand"):
        checkpoint.compared(tmp_path / "out", preset=model.preset, rules=[rule])
