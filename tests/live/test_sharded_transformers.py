"""Sharded models of transformers get the values of the file that `save_pretrained` writes: tied ones, and those with
fused experts, which have other names in a file.
"""

from __future__ import annotations

import pytest
import torch
import transformers
from safetensors.torch import load_file
from torch.distributed.fsdp import fully_shard

import initctl
from tests.live import sharded

SMALL = {
    "vocab_size": 35,
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
}
CONFIGS = {
    "tied": transformers.LlamaConfig(**SMALL, tie_word_embeddings=True),
    "fused": transformers.MixtralConfig(**SMALL, num_local_experts=3, tie_word_embeddings=False),
}
RULES = ["*=normal:std=0.02", "*norm.weight=ones", "model.layers.1.*=xavier_normal where ndim == 2"]


def made(config):
    return transformers.AutoModelForCausalLM.from_config(config)


def filled(config):
    """The whole tensors in memory, by their names there."""
    with torch.device("meta"):
        model = made(config)
    for layer in model.model.layers:
        fully_shard(layer)
    fully_shard(model).to_empty(device="cpu")
    initctl.init_(model, rules=RULES, seed=3, allow_unused=True)
    return {
        name: tensor.full_tensor().detach().numpy() for name, tensor in model.named_parameters(remove_duplicate=False)
    }


@pytest.mark.parametrize("kind", CONFIGS)
@pytest.mark.filterwarnings("ignore::initctl.InitctlWarning")
def test_a_sharded_model_is_saved_with_the_bits_of_its_file(ranks, tmp_path, kind):
    made(CONFIGS[kind]).save_pretrained(tmp_path / "before")
    initctl.apply(tmp_path / "before", tmp_path / "after", rules=RULES, seed=3, allow_unused=True)
    expected = load_file(tmp_path / "after" / "model.safetensors")
    for held in ranks.run(2, filled, CONFIGS[kind]):
        whole = made(CONFIGS[kind])
        for name, parameter in whole.named_parameters(remove_duplicate=False):
            parameter.detach().copy_(torch.from_numpy(held[name]))
        whole.save_pretrained(tmp_path / "saved")
        found = load_file(tmp_path / "saved" / "model.safetensors")
        assert {name: sharded.digest(tensor) for name, tensor in found.items()} == {
            name: sharded.digest(tensor) for name, tensor in expected.items()
        }
