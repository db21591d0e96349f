"""Fresh models as libraries make them, saved; and damaged, diagnosed, fixed."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, NamedTuple

import torch
from safetensors.torch import load_file, save_file

import initctl
from tests.diagnosing.damages import Damage, Places
from tests.presets.fresh import FILE, quiet
from tests.presets.models import models

if TYPE_CHECKING:
    from pathlib import Path

FAMILIES = (
    "GPT2LMHeadModel", "LlamaForCausalLM", "Gemma2ForCausalLM", "Qwen3ForCausalLM", "MixtralForCausalLM",
    "DeepseekV3ForCausalLM", "MambaForCausalLM", "BertForMaskedLM", "T5ForConditionalGeneration",
    "ViTForImageClassification", "WhisperForConditionalGeneration", "CLIPModel", "ResNetForImageClassification",
)  # fmt: skip
"""Of transformers, small ones of `tests.presets.models`."""
_TIES = {
    "GPT2LMHeadModel": ("lm_head.weight", "transformer.wte.weight"),
    "Gemma2ForCausalLM": ("lm_head.weight", "model.embed_tokens.weight"),
}
"""What config.json ties, and the file leaves out."""


class Outcome(NamedTuple):
    """The codes that were found in a damaged model, and those that were left once its rules were applied."""

    found: set[str]
    left: set[str]


def save(name: str, folder: Path) -> Path:
    """The family called `name` in `folder`, as transformers initializes and saves it."""
    with quiet():
        next(model for model in models() if model.name == name).build(0).save_pretrained(folder)
    return folder


def codes(path: Path) -> set[str]:
    return {found.check.code for found in initctl.doctor(path).findings}


def outcome(fresh: Path, damage: Damage, path: Path) -> Outcome | None:
    """Of `damage` to the model in `fresh`; None if that has nothing to damage so."""
    at = Places.of(initctl.inspect(fresh))._replace(tie=_TIES.get(fresh.name))
    if getattr(at, damage.needs) is None:
        return None
    damaged, fixed = path / "damaged", path / "fixed"
    shutil.copytree(fresh, damaged)
    tensors = load_file(fresh / FILE)
    torch.manual_seed(0)
    damage.change(tensors, at)
    save_file(tensors, damaged / FILE)
    found = initctl.doctor(damaged)
    if not found.rules:
        return Outcome(codes(damaged), codes(damaged))
    initctl.apply(damaged, fixed, rules=found.rules, seed=1)
    return Outcome({one.check.code for one in found.findings}, codes(fixed))
