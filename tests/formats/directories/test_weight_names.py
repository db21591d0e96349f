"""Names of files of weights, as the libraries that write them make them."""

from __future__ import annotations

import pytest
from transformers.modeling_utils import _add_variant  # the names that transformers itself looks for

from initctl.formats.directories.weight_names import CONVERTED, weight_name

PARTS = {
    "model.safetensors": ("model", None, ".safetensors"),
    "model.fp16.safetensors": ("model", "fp16", ".safetensors"),
    "model.non_ema.safetensors": ("model", "non_ema", ".safetensors"),
    "model.8bit.bin": ("model", "8bit", ".bin"),
    "pytorch_model-00001-of-00002.bin": ("pytorch_model", None, ".bin"),
    "diffusion_pytorch_model.fp16-00001-of-00002.safetensors": ("diffusion_pytorch_model", "fp16", ".safetensors"),
    "pytorch_model-00001-of-00002.fp16.bin": ("pytorch_model", "fp16", ".bin"),
    "consolidated.00.pth": ("consolidated.00", None, ".pth"),
    "v1.5-pruned.ckpt": ("v1.5-pruned", None, ".ckpt"),
    "epoch=3-step=100.ckpt": ("epoch=3-step=100", None, ".ckpt"),
    "tf_model.h5": ("tf_model", None, ".h5"),
    "model_q4.onnx": ("model_q4", None, ".onnx"),
}
"""Stem, variant and ending."""
INDEXES = {
    "model.safetensors.index.json": ("model", None, ".safetensors"),
    "model.safetensors.index.fp16.json": ("model", "fp16", ".safetensors"),
    "pytorch_model.bin.index.json": ("pytorch_model", None, ".bin"),
    "diffusion_pytorch_model.safetensors.index.non_ema.json": ("diffusion_pytorch_model", "non_ema", ".safetensors"),
    "tf_model.h5.index.json": ("tf_model", None, ".h5"),
}


@pytest.mark.parametrize("name", PARTS | INDEXES)
def test_a_name_has_a_stem_a_variant_and_an_ending(name: str):
    found = weight_name(name)
    assert found
    assert (found.stem, found.variant, found.suffix) == (PARTS | INDEXES)[name]
    assert found.is_index == (name in INDEXES)


@pytest.mark.parametrize("name", ["model.safetensors", "model.safetensors.index.json", "pytorch_model.bin"])
@pytest.mark.parametrize("variant", ["fp16", "bf16", "non_ema", "8bit"])
def test_a_variant_is_where_transformers_puts_it(name: str, variant: str):
    plain, found = weight_name(name), weight_name(_add_variant(name, variant))
    assert plain
    assert found
    assert (found.stem, found.suffix, found.is_index) == (plain.stem, plain.suffix, plain.is_index)
    assert (plain.variant, found.variant) == (None, variant)


@pytest.mark.parametrize(
    "name",
    [
        "._model.safetensors", ".model.safetensors.index.json", "config.json", "model.safetensors.bak", "README.md",
        "training_args.bin", "optimizer.pt", "optimizer.bin", "optimizer_1.bin", "scheduler.pt", "scaler.pt",
        "sampler.bin", "rng_state_0.pth", "zero_pp_rank_0_mp_rank_00_optim_states.pt", "recipe_state.pt",
        "common.pt", "train_state.pt",
        "random_states_0.pkl", "index.json", "tokenizer.json", "safetensors",
    ],
)  # fmt: skip
def test_hidden_files_and_the_state_of_training_are_no_weights(name: str):
    assert weight_name(name) is None


FAMILIES = [
    {"model.safetensors", "pytorch_model.bin", "tf_model.h5", "flax_model.msgpack", "rust_model.ot"},
    {"diffusion_pytorch_model.bin", "diffusion_pytorch_model.fp16.safetensors", "diffusion_flax_model.msgpack"},
    {"open_clip_pytorch_model.bin", "open_clip_model.safetensors"},
    {"adapter_model.bin", "adapter_model.safetensors"},
]


def test_one_model_in_the_formats_of_several_libraries_is_a_family_and_others_are_not():
    found = [{weight_name(name).family for name in names} for names in FAMILIES]
    assert [len(families) for families in found] == [1] * len(FAMILIES)
    assert len(set.union(*found)) == len(FAMILIES)


@pytest.mark.parametrize("stem", CONVERTED)
def test_a_stem_that_changes_in_safetensors_stays_in_its_family(stem: str):
    assert weight_name(f"{stem}.bin").family == weight_name(f"{CONVERTED[stem]}.safetensors").family
