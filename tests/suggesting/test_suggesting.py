"""What each tensor should start from: as its family does, or by its role."""

from __future__ import annotations

import pytest
from safetensors.torch import save_file
from torch import nn
from transformers import GPT2Config, GPT2LMHeadModel

import initctl
from initctl.suggesting import ROLES, suggestions


@pytest.fixture
def network(tmp_path):
    """fc1, ReLU, fc2."""
    layers = nn.ModuleDict({"fc1": nn.Linear(784, 128), "fc2": nn.Linear(128, 10)})
    save_file(layers.state_dict(), tmp_path / "m.safetensors")
    return initctl.inspect(tmp_path / "m.safetensors")


@pytest.fixture
def gpt2(tmp_path):
    model = GPT2LMHeadModel(GPT2Config(n_layer=2, n_embd=32, n_head=2, vocab_size=100, n_positions=20))
    model.save_pretrained(tmp_path / "gpt2")
    return initctl.inspect(tmp_path / "gpt2")


def test_before_a_relu_a_layer_gets_he_the_last_layer_gets_xavier_and_biases_get_zeros(network):
    found = {suggestion.tensor.name: (suggestion.role, suggestion.initializer) for suggestion in suggestions(network)}
    assert found == {
        "fc1.bias": ("bias", "zeros"),
        "fc1.weight": ("linear", "kaiming_normal:nonlinearity=relu"),
        "fc2.bias": ("bias", "zeros"),
        "fc2.weight": ("head", "xavier_normal"),
    }


def test_a_known_family_gets_the_rules_of_its_preset_with_their_numbers(gpt2):
    found = {suggestion.tensor.name: suggestion for suggestion in suggestions(gpt2)}
    assert {suggestion.preset for suggestion in found.values()} == {"gpt2"}
    assert found["transformer.h.1.attn.c_proj.weight"].initializer == "normal:std=0.01"
    assert found["transformer.wte.weight"].role == "embedding"
    assert {suggestion.role for suggestion in found.values()} <= ROLES.keys()
