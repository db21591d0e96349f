"""What converted files are called: as the loader of the library looks for them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch

import initctl
from tests.execution.checkpoints import network

if TYPE_CHECKING:
    from pathlib import Path

NAMES: dict[str, tuple[str, list[str]]] = {
    "transformers": ("pytorch_model.bin", ["model.safetensors"]),
    "transformers, a variant": ("pytorch_model.fp16.bin", ["model.fp16.safetensors"]),
    "diffusers": ("diffusion_pytorch_model.bin", ["diffusion_pytorch_model.safetensors"]),
    "diffusers, a variant": ("diffusion_pytorch_model.fp16.bin", ["diffusion_pytorch_model.fp16.safetensors"]),
    "PEFT": ("adapter_model.bin", ["adapter_model.safetensors"]),
    "open_clip": ("open_clip_pytorch_model.bin", ["open_clip_model.safetensors"]),
    "Lightning": ("epoch=3-step=100.ckpt", ["epoch=3-step=100.safetensors"]),
    "Meta": ("consolidated.00.pth", ["consolidated.00.safetensors"]),
    "one shard": ("pytorch_model-00001-of-00002.bin", ["model-00001-of-00002.safetensors"]),
    "no ending": ("weights", ["weights.safetensors"]),
    "another ending": ("weights.old", ["weights.old.safetensors"]),
}
"""What a converted file is called."""


@pytest.mark.parametrize("library", NAMES)
def test_a_converted_file_keeps_the_stem_that_its_loader_looks_for(tmp_path: Path, library: str):
    name, converted = NAMES[library]
    torch.save(network(), tmp_path / name)
    initctl.apply(tmp_path / name, f"{tmp_path}/out/")
    assert [path.name for path in (tmp_path / "out").iterdir()] == converted


@pytest.mark.parametrize("variant", ["", "fp16", "non_ema"])
@pytest.mark.parametrize("stem", ["diffusion_pytorch_model", "adapter_model", "net"])
def test_shards_and_index_keep_it_too(tmp_path: Path, stem: str, variant: str):
    begin = f"{stem}.{variant}" if variant else stem
    (tmp_path / "in").mkdir()
    torch.save(network(), tmp_path / "in" / f"{begin}.bin")
    initctl.apply(tmp_path / "in", tmp_path / "out", max_shard_size="300B")
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    index = f"{stem}.safetensors.index.{variant}.json" if variant else f"{stem}.safetensors.index.json"
    shards = [name for name in names if name != index]
    assert index in names
    assert shards == [f"{begin}-{n:05d}-of-{len(shards):05d}.safetensors" for n in range(1, len(shards) + 1)]
    read = initctl.inspect(tmp_path / "out")
    assert {tensor.name for tensor in read.tensors} == set(network())
    assert read.warnings == ()


def test_transformers_loads_a_converted_variant_in_shards(tmp_path: Path):
    from transformers import BertConfig, BertModel

    config = BertConfig(vocab_size=32, hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8)
    model = BertModel(config)
    config.save_pretrained(tmp_path / "in")
    torch.save(model.state_dict(), tmp_path / "in" / "pytorch_model.fp16.bin")
    initctl.apply(tmp_path / "in", tmp_path / "out", max_shard_size="1KB")
    loaded, loading = BertModel.from_pretrained(tmp_path / "out", variant="fp16", output_loading_info=True)
    assert not any(loading.values())
    assert all(torch.equal(value, model.state_dict()[name]) for name, value in loaded.state_dict().items())


def test_a_directory_of_pickles_says_how_it_is_converted(tmp_path: Path):
    torch.save(network(), tmp_path / "pytorch_model.bin")
    with pytest.raises(initctl.UsageError) as raised:
        initctl.apply(tmp_path, f"{tmp_path}-out/")
    (problem,) = raised.value.problems
    assert problem.hint
    assert problem.hint.endswith(
        "a conversion alone needs no rules: -o for another format, or --max-shard-size 5GB for shards"
    )
