"""One shard of a checkpoint, named by itself."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
import torch
from safetensors.torch import save_file
from transformers import LlamaConfig, LlamaForCausalLM

import initctl
from tests.formats.handwritten import float_file, sharded

if TYPE_CHECKING:
    from pathlib import Path

FIRST = "model-00001-of-00002.safetensors"


def warning(path: Path) -> str | None:
    found = [w for w in initctl.inspect(path).warnings if w.code == "file.shard"]
    return str(found[0]) if found else None


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that transformers saved in several shards."""
    folder = tmp_path_factory.mktemp("llama")
    config = LlamaConfig(hidden_size=16, intermediate_size=16, num_hidden_layers=2, num_attention_heads=2, vocab_size=8)
    LlamaForCausalLM(config).save_pretrained(folder, max_shard_size="5KB")
    return folder


def test_a_shard_of_transformers_names_the_index(saved: Path):
    shard = sorted(saved.glob("model-*.safetensors"))[1]
    assert warning(shard) == (
        f"{shard}: is one of the shards that model.safetensors.index.json lists: rules reach only this file, "
        f"and {{-1}} counts only its layers; name {saved / 'model.safetensors.index.json'} instead"
    )


def test_the_index_and_the_directory_are_not_warned_of(saved: Path):
    assert warning(saved) is None
    assert warning(saved / "model.safetensors.index.json") is None


def test_a_shard_of_a_variant_names_the_variant_s_index(tmp_path: Path):
    """diffusers: `diffusion_pytorch_model.safetensors.index.fp16.json`."""
    shards = {f"unet.fp16-0000{n}-of-00002.safetensors": (f"w{n}",) for n in (1, 2)}
    sharded(tmp_path, shards).rename(tmp_path / "unet.safetensors.index.fp16.json")
    assert str(warning(tmp_path / "unet.fp16-00002-of-00002.safetensors")).endswith(
        f"name {tmp_path / 'unet.safetensors.index.fp16.json'} instead"
    )


def test_a_shard_of_torch_save_and_one_under_any_name_are_found_by_the_index(tmp_path: Path):
    torch.save({"w": torch.ones(2)}, tmp_path / "a.bin")
    torch.save({"v": torch.ones(2)}, tmp_path / "b.bin")
    index = {"weight_map": {"w": "a.bin", "v": "b.bin"}}
    (tmp_path / "pytorch_model.bin.index.json").write_text(json.dumps(index))
    assert "pytorch_model.bin.index.json instead" in str(warning(tmp_path / "a.bin"))


def test_a_numbered_shard_without_its_index_is_warned_of(tmp_path: Path):
    float_file(tmp_path / FIRST, "w")
    assert str(warning(tmp_path / FIRST)).endswith(
        f"{FIRST}: is one of 2 shards, but their index is missing: rules reach only this file, "
        "and {-1} counts only its layers; restore the index, and name it instead"
    )


def test_a_directory_with_one_of_two_shards_is_not_taken_for_the_model(tmp_path: Path):
    float_file(tmp_path / FIRST, "w")
    assert "is one of 2 shards, but their index is missing" in str(warning(tmp_path))


def test_the_only_shard_of_an_index_and_a_file_that_no_index_lists_are_whole(tmp_path: Path):
    sharded(tmp_path, {"model-00001-of-00001.safetensors": ("w",)})
    float_file(tmp_path / "adapter.safetensors", "v")
    assert warning(tmp_path / "model-00001-of-00001.safetensors") is None
    assert warning(tmp_path / "adapter.safetensors") is None


def test_a_broken_index_beside_a_file_does_not_matter(tmp_path: Path):
    (tmp_path / "model.safetensors.index.json").write_text("{")
    save_file({"w": torch.ones(2)}, tmp_path / "a.safetensors")
    assert warning(tmp_path / "a.safetensors") is None


def test_the_last_layer_of_a_shard_is_warned_of_when_rules_are_applied(saved: Path, tmp_path: Path):
    shard = sorted(saved.glob("model-*.safetensors"))[1]
    plan = initctl.plan(shard, rules=["*.weight=zeros"])
    assert "file.shard" in [w.code for w in plan.warnings]
