"""The preset torch-default gives what torch gives the layers that it has just made."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
from torch import nn

import initctl
from tests.presets.fresh import SAMPLES, spoilt

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.presets.fresh import Tensors

PRESET = "torch-default"
LAYERS: dict[str, Callable[[], nn.Module]] = {
    "Linear": lambda: nn.Linear(60, 80),
    "Linear without bias": lambda: nn.Linear(60, 80, bias=False),
    "Conv1d": lambda: nn.Conv1d(24, 40, 3),
    "Conv2d": lambda: nn.Conv2d(12, 40, 3),
    "Conv2d in groups": lambda: nn.Conv2d(32, 64, 3, groups=8),
    "Conv3d": lambda: nn.Conv3d(8, 40, (3, 2, 2)),
    "ConvTranspose1d": lambda: nn.ConvTranspose1d(40, 24, 3),
    "ConvTranspose2d": lambda: nn.ConvTranspose2d(40, 24, 3, groups=4),
    "Embedding": lambda: nn.ModuleDict({"word_embeddings": nn.Embedding(200, 40), "wte": nn.Embedding(100, 40)}),
    "Linear called after an embedding": lambda: nn.ModuleDict({"time_embed": nn.Linear(60, 80)}),
    "EmbeddingBag": lambda: nn.ModuleDict({"embed_tags": nn.EmbeddingBag(100, 40)}),
    "LayerNorm": lambda: nn.LayerNorm(60),
    "RMSNorm": lambda: nn.RMSNorm(60),
    "GroupNorm": lambda: nn.GroupNorm(4, 60),
    "BatchNorm2d": lambda: nn.BatchNorm2d(60),
    "InstanceNorm1d": lambda: nn.InstanceNorm1d(60, affine=True, track_running_stats=True),
    "RNN": lambda: nn.RNN(24, 40),
    "LSTM": lambda: nn.LSTM(24, 40, num_layers=2, bidirectional=True),
    "LSTM with proj_size": lambda: nn.LSTM(24, 40, num_layers=2, proj_size=20),
    "GRU": lambda: nn.GRU(24, 40, num_layers=2),
    "LSTMCell": lambda: nn.LSTMCell(24, 40),
    "GRUCell": lambda: nn.GRUCell(24, 40),
    "Sequential": lambda: nn.Sequential(nn.Conv2d(3, 40, 5), nn.BatchNorm2d(40), nn.Flatten(), nn.Linear(640, 50)),
    "TransformerEncoderLayer": lambda: nn.TransformerEncoderLayer(48, 4, 96, batch_first=True),
    "TransformerDecoderLayer": lambda: nn.TransformerDecoderLayer(48, 4, 96, batch_first=True),
    "MultiheadAttention": lambda: nn.ModuleDict(
        {"self_attn": nn.MultiheadAttention(48, 4, kdim=24, vdim=32, add_bias_kv=True)}
    ),
}


def fresh(make: Callable[[], nn.Module]) -> list[Tensors]:
    """What torch gives the tensors of a layer, several times."""
    samples = []
    for seed in range(SAMPLES):
        torch.manual_seed(seed)
        samples.append({name: tensor.numpy() for name, tensor in make().state_dict().items()})
    return samples


def uncounted(samples: list[Tensors]) -> list[Tensors]:
    """Without counters of batches: no pattern reaches them, and no file needs them to be 0."""
    return [{n: t for n, t in sample.items() if not n.endswith("num_batches_tracked")} for sample in samples]


@pytest.mark.parametrize("layer", LAYERS)
def test_every_layer_starts_as_torch_has_just_made_it(layer: str, tmp_path: Path):
    spoilt(tmp_path / "in", *uncounted(fresh(LAYERS[layer]))).compared(tmp_path / "out", preset=PRESET)


def test_a_counter_of_batches_stays(tmp_path: Path):
    spoilt(tmp_path / "in", *fresh(lambda: nn.BatchNorm2d(8)))
    plan = initctl.plan(tmp_path / "in", preset=PRESET)
    assert [kept.tensor.name for kept in plan.kept] == ["num_batches_tracked"]


@pytest.mark.parametrize("rule", ["*bias=zeros", "*weight=kaiming_uniform", "*weight=normal:std=0.0745"])
def test_what_differs_from_torch_is_noticed(rule: str, tmp_path: Path):
    checkpoint = spoilt(tmp_path / "in", *fresh(LAYERS["Linear"]))
    with pytest.raises(AssertionError, match=r"sigma|zeros stand"):
        checkpoint.compared(tmp_path / "out", preset=PRESET, rules=[rule])


LIMITS: dict[str, tuple[Callable[[], dict[str, nn.Module]], str]] = {
    "Bilinear": (lambda: {"pair": nn.Bilinear(24, 20, 30)}, "pair.*=uniform:a=-1/sqrt(24),b=1/sqrt(24)"),
    "PReLU": (lambda: {"act": nn.PReLU(20)}, "act.weight=constant:val=0.25"),
    "attention": (lambda: {"mixer": nn.MultiheadAttention(48, 4)}, "mixer.out_proj.bias=zeros"),
    "embedding": (lambda: {"words": nn.Embedding(90, 40)}, "words.weight=normal"),
}
"""What takes a rule of its own, the latter two under names that do not tell, and which."""


@pytest.mark.parametrize("layer", LIMITS)
def test_what_names_and_shapes_do_not_tell_takes_a_rule_more(layer: str, tmp_path: Path):
    make, rule = LIMITS[layer]
    checkpoint = spoilt(tmp_path / "in", *fresh(lambda: nn.ModuleDict({**make(), "head": nn.Linear(40, 30)})))
    with pytest.raises(AssertionError, match=r"sigma|constants differ"):
        checkpoint.compared(tmp_path / "without", preset=PRESET)
    checkpoint.compared(tmp_path / "with", preset=PRESET, rules=[rule])
