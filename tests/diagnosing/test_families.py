"""Fresh models of transformers have no fault; damaged ones have that one, and its rule mends it."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest
import torch
from safetensors.torch import load_file, save_file

import initctl
from tests.diagnosing.damages import DAMAGES, Damage, Places
from tests.presets.fresh import FILE, quiet
from tests.presets.models import models

if TYPE_CHECKING:
    from pathlib import Path

FAMILIES = (
    "GPT2LMHeadModel", "LlamaForCausalLM", "Gemma2ForCausalLM", "Qwen3ForCausalLM", "MixtralForCausalLM",
    "DeepseekV3ForCausalLM", "MambaForCausalLM", "BertForMaskedLM", "T5ForConditionalGeneration",
    "ViTForImageClassification", "WhisperForConditionalGeneration", "CLIPModel", "ResNetForImageClassification",
)  # fmt: skip
TIES = {
    "GPT2LMHeadModel": ("lm_head.weight", "transformer.wte.weight"),
    "Gemma2ForCausalLM": ("lm_head.weight", "model.embed_tokens.weight"),
}


@pytest.fixture(scope="module", params=FAMILIES)
def fresh(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a model as its family initializes it."""
    folder = tmp_path_factory.mktemp("models") / request.param
    with quiet():
        next(model for model in models() if model.name == request.param).build(0).save_pretrained(folder)
    return folder


def codes(path: Path) -> set[str]:
    return {found.check.code for found in initctl.doctor(path).findings}


def test_nothing_is_found_in_a_fresh_model(fresh: Path):
    found = initctl.doctor(fresh)
    assert not found.findings
    assert not found.reading.is_trained


@pytest.mark.parametrize("damage", DAMAGES, ids=str)
def test_a_damage_is_found_alone_and_its_rule_mends_it(fresh: Path, damage: Damage, tmp_path: Path):
    at = Places.of(initctl.inspect(fresh))._replace(tie=TIES.get(fresh.name))
    if getattr(at, damage.needs) is None:
        pytest.skip(f"the model has no {damage.needs}")
    damaged, mended = tmp_path / "damaged", tmp_path / "mended"
    shutil.copytree(fresh, damaged)
    tensors = load_file(fresh / FILE)
    torch.manual_seed(0)
    damage.change(tensors, at)
    save_file(tensors, damaged / FILE)
    found = initctl.doctor(damaged)
    assert {one.check.code for one in found.findings} == {damage.code}
    initctl.apply(damaged, mended, rules=found.rules, seed=1)
    assert codes(mended) == set()
