"""A preset that is not meant for the checkpoint is told."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
import torch
from safetensors.torch import save_file

import initctl

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def llama(tmp_path: Path) -> Path:
    """A directory with some tensors of a Llama and its config.json."""
    tensors = {
        "model.embed_tokens.weight": torch.ones(8, 4),
        "model.layers.0.self_attn.q_proj.weight": torch.ones(4, 4),
        "model.norm.weight": torch.zeros(4),
        "lm_head.weight": torch.ones(8, 4),
    }
    save_file(tensors, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "llama"}))
    return tmp_path


def codes(plan: initctl.planning.Plan) -> list[str]:
    return [warning.code for warning in plan.warnings]


def test_the_preset_of_another_family_is_a_warning_that_names_the_right_one(llama: Path):
    plan = initctl.plan(llama, preset="gpt2", allow_partial=True)
    assert codes(plan) == ["preset.model_type", "preset.partial"]
    assert "config.json says model_type=llama" in plan.warnings[0].message
    assert (plan.warnings[0].hint or "").startswith("did you mean -p llama? (Llama, Mistral")


def test_a_warning_does_not_propose_the_flag_that_was_given(llama: Path):
    _, partial = initctl.plan(llama, preset="gpt2", allow_partial=True).warnings
    assert (partial.hint or "").endswith("or pass --require-all to refuse this")


def test_a_configuration_without_a_model_type_is_not_said_to_be_of_type_none(llama: Path):
    (llama / "config.json").write_text('{"architecture": "vit_tiny_patch16_224"}')
    with pytest.raises(initctl.UsageError, match=r"preset auto: config\.json has no model_type; "):
        initctl.plan(llama, preset="auto")


@pytest.mark.parametrize(("kind", "preset"), [("AutoencoderKL", "vae-diffusers"), ("UNet2DModel", "unet-diffusers")])
def test_the_class_that_diffusers_names_counts_as_the_model_type(llama: Path, kind: str, preset: str):
    (llama / "config.json").write_text(json.dumps({"_class_name": kind}))
    plan = initctl.plan(llama, preset="llama")
    assert [warning.message for warning in plan.warnings] == [f"preset llama: config.json says _class_name={kind}"]
    assert (plan.warnings[0].hint or "").startswith(f"did you mean -p {preset}? ")


def test_a_class_of_diffusers_without_a_preset_is_named(llama: Path):
    (llama / "config.json").write_text('{"_class_name": "UNet1DModel"}')
    with pytest.raises(initctl.UsageError, match=r"preset auto: there is no preset for _class_name UNet1DModel; "):
        initctl.plan(llama, preset="auto")


def test_where_no_preset_fits_suggest_is_named(llama: Path):
    (llama / "config.json").write_text('{"model_type": "ours"}')
    with pytest.raises(initctl.UsageError, match=r"no preset for model_type ours; .* or let `initctl suggest` make a"):
        initctl.plan(llama, preset="auto")


@pytest.mark.parametrize("preset", ["llama", "auto", "megatron"])
def test_one_that_is_for_the_model_or_for_any_is_none(llama: Path, preset: str):
    assert codes(initctl.plan(llama, preset=preset)) == []


def test_one_for_a_model_that_no_preset_knows_is_none(llama: Path):
    (llama / "config.json").write_text(json.dumps({"model_type": "ours"}))
    assert codes(initctl.plan(llama, preset="llama")) == []


def test_one_that_fills_nothing_is_an_error(llama: Path):
    with pytest.raises(initctl.FitError, match="preset mamba: fills no tensor of ") as raised:
        initctl.plan(llama, preset="mamba", rules=["{lm_head.,model.norm.}weight=keep"])
    assert [problem.code for problem in raised.value.problems] == ["preset.unused"]


def test_one_that_fills_nothing_is_a_warning_where_rules_may_be_unused(llama: Path):
    (llama / "config.json").unlink()
    plan = initctl.plan(llama, preset="mamba", rules=["*=ones"], allow_unused=True)
    assert codes(plan) == ["preset.unused"]
