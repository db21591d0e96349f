"""Presets of model families give what libraries other than transformers give a fresh model, tensor by tensor."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.presets.fresh import SAMPLES, spoilt
from tests.presets.libraries import imported, of_timm, of_torchvision

if TYPE_CHECKING:
    from pathlib import Path

    from tests.presets.comparing import Comparison
    from tests.presets.libraries import Made

OF_TIMM = {str(model): model for model in of_timm()}
OF_TORCHVISION = {str(model): model for model in of_torchvision()}


def compared(model: Made, folder: Path, *rules: str) -> Comparison:
    """What comes of the preset for `model`, and of `rules`, against what its library makes of it."""
    try:
        samples = [model.build(seed) for seed in range(SAMPLES)]
    except ImportError as error:
        pytest.skip(f"{error.name} is not installed")
    asked: dict[str, Any] = {"preset": model.preset}
    if model.variables:
        (folder / "recipe.toml").write_text(model.recipe())
        asked = {"recipes": [folder / "recipe.toml"]}
    return spoilt(folder / "in", *samples).compared(folder / "out", rules=[*model.rules, *rules], **asked)


@pytest.mark.parametrize("model", OF_TIMM.values(), ids=str)
def test_the_preset_gives_what_timm_gives(model: Made, tmp_path: Path):
    compared(model, tmp_path)


@pytest.mark.parametrize("model", OF_TORCHVISION.values(), ids=str)
def test_the_preset_gives_what_torchvision_gives(model: Made, tmp_path: Path):
    compared(model, tmp_path)
