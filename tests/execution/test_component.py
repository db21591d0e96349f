"""One component of a directory: the whole is written, and just its files change."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
from safetensors.torch import load_file, save_file

import initctl
from tests.commit.folders import contents
from tests.execution.checkpoints import network, sharded, single

if TYPE_CHECKING:
    from pathlib import Path

RULES = ["*.weight=ones"]
WRITTEN = {
    "unet": {f"unet/model-{number}.safetensors" for number in (1, 2, 3)},
    "vae": {"vae/diffusion_pytorch_model.safetensors"},
    "text_encoder": {"text_encoder/pytorch_model.bin"},
}
"""The files that these rules change, by component."""


@pytest.fixture
def pipeline(tmp_path: Path) -> Path:
    """A pipeline of a sharded model, of one in one file, and of one in a pickle."""
    source = tmp_path / "pipeline"
    sharded(source / "unet")
    single(source / "vae" / "diffusion_pytorch_model.safetensors")
    (source / "text_encoder").mkdir()
    torch.save(network(), source / "text_encoder" / "pytorch_model.bin")
    for name in ("unet", "vae", "text_encoder"):
        (source / name / "config.json").write_text(f'{{"std": {len(name)}}}')
    (source / "model_index.json").write_text('{"_class_name": "StableDiffusionPipeline"}')
    return source


def changed(source: Path, out: Path) -> set[str]:
    before, after = contents(source), contents(out)
    return {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}


@pytest.mark.parametrize("name", WRITTEN)
@pytest.mark.parametrize("in_place", [True, False])
def test_the_whole_directory_is_written_with_just_its_files_changed(
    tmp_path: Path, pipeline: Path, name: str, in_place: bool
):
    initctl.apply(pipeline, tmp_path / "copy", rules=["*=keep", "norm.weight=constant:val=0.5"], component="vae")
    assert changed(pipeline, tmp_path / "copy") == set()
    out = pipeline if in_place else tmp_path / "out"
    initctl.apply(pipeline, None if in_place else out, in_place=in_place, rules=RULES, component=name)
    assert changed(tmp_path / "copy", out) == WRITTEN[name]
    assert initctl.verify(tmp_path / "copy", out, rules=RULES, component=name).holds
    assert initctl.verify(out / name, rules=RULES).holds


def test_its_values_are_those_of_its_folder_alone(tmp_path: Path, pipeline: Path):
    rules = ["*.weight=normal:std=config.std"]
    initctl.apply(pipeline, tmp_path / "out", rules=rules, component="vae", seed=3)
    initctl.apply(pipeline / "vae", tmp_path / "alone", rules=rules, seed=3)
    assert contents(tmp_path / "out" / "vae") == contents(tmp_path / "alone")


@pytest.mark.parametrize("size", ["300B", "5GB"])
def test_it_is_converted_in_its_folder(tmp_path: Path, pipeline: Path, size: str):
    initctl.apply(pipeline, tmp_path / "out", component="text_encoder", max_shard_size=size)
    found = changed(pipeline, tmp_path / "out")
    assert "text_encoder/pytorch_model.bin" in found
    assert all(name.startswith("text_encoder/") for name in found)
    read = initctl.inspect(tmp_path / "out", component="text_encoder")
    assert {tensor.name for tensor in read.tensors} == set(network())
    assert initctl.verify(pipeline, tmp_path / "out", component="text_encoder").holds


def test_it_is_written_to_one_file_alone(tmp_path: Path, pipeline: Path):
    initctl.apply(pipeline, tmp_path / "out.safetensors", rules=RULES, component="unet")
    assert set(load_file(tmp_path / "out.safetensors")) == set(network())
    assert initctl.verify(pipeline, tmp_path / "out.safetensors", rules=RULES, component="unet").holds


def test_a_saved_plan_is_for_it(tmp_path: Path, pipeline: Path):
    saved = tmp_path / "plan.json"
    initctl.plan(pipeline, rules=RULES, component="unet").save(saved)
    initctl.apply(initctl.load_plan(saved, pipeline), tmp_path / "out")
    assert changed(pipeline, tmp_path / "out") == WRITTEN["unet"]
    assert initctl.verify(initctl.load_plan(saved, result=tmp_path / "out")).holds
    with pytest.raises(initctl.UsageError, match="cannot be combined with `component`; it already fixes the rules"):
        initctl.apply(initctl.load_plan(saved, pipeline), tmp_path / "two", component="unet")


def test_the_layer_of_a_sentence_transformer_is_one(tmp_path: Path):
    source = tmp_path / "st"
    single(source / "model.safetensors")
    (source / "2_Dense").mkdir()
    save_file({"linear.weight": torch.full((4, 4), 0.5)}, source / "2_Dense" / "model.safetensors")
    initctl.apply(source, tmp_path / "out", rules=["*=zeros"], component="2_Dense")
    assert changed(source, tmp_path / "out") == {"2_Dense/model.safetensors"}


@pytest.mark.filterwarnings("ignore:torch.distributed is disabled")
def test_a_distributed_checkpoint_is_one(tmp_path: Path):
    from torch.distributed.checkpoint import save

    source = tmp_path / "nemo"
    save({"w.weight": torch.full((4,), 0.5)}, checkpoint_id=source / "weights", no_dist=True)
    (source / "context").mkdir()
    (source / "context" / "model.yaml").write_text("x: 1")
    initctl.apply(source, tmp_path / "out", rules=RULES, component="weights")
    assert changed(source, tmp_path / "out") == {"weights/__0_0.distcp"}
    assert initctl.verify(source, tmp_path / "out", rules=RULES, component="weights").holds


def test_its_own_config_says_how_it_is_quantized(tmp_path: Path):
    (tmp_path / "unet").mkdir()
    save_file({"fc.scales": torch.ones(4), "fc.bias": torch.ones(4)}, tmp_path / "unet" / "model.safetensors")
    (tmp_path / "unet" / "config.json").write_text('{"quantization_config": {"quant_method": "gptq"}}')
    plan = initctl.plan(tmp_path, rules=["*=zeros"], component="unet")
    assert [action.tensor.name for action in plan.actions] == ["fc.bias"]


def test_its_own_config_says_what_is_tied(tmp_path: Path):
    (tmp_path / "text_encoder").mkdir()
    save_file({"model.embed_tokens.weight": torch.ones(4, 2)}, tmp_path / "text_encoder" / "model.safetensors")
    (tmp_path / "text_encoder" / "config.json").write_text('{"tie_word_embeddings": true}')
    with pytest.raises(initctl.FitError, match=r"no tensor: lm_head\.weight is tied to model\.embed_tokens"):
        initctl.plan(tmp_path, rules=["lm_head.weight=zeros"], component="text_encoder")
