"""Networks of no family: what torch makes of their layers is no fault, unless it is a known one."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
import torch
from torch import nn

import initctl
from initctl.diagnosing.remedies import shortened

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def layers(*sizes: int) -> nn.Sequential:
    return nn.Sequential(*(nn.Linear(*pair) for pair in pairwise(sizes)))


def convolutions() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(3, 32, 3), nn.BatchNorm2d(32), nn.ConvTranspose2d(32, 16, 2), nn.BatchNorm2d(16))


SOUND: dict[str, Callable[[], nn.Module]] = {
    "the network of a first run": lambda: nn.ModuleDict(
        {"fc1": nn.Linear(100, 50), "norm": nn.LayerNorm(50), "fc2": nn.Linear(50, 10)}
    ),
    "two layers": lambda: layers(784, 256, 10),
    "convolutions": convolutions,
    "LSTM": lambda: nn.ModuleDict({"rnn": nn.LSTM(64, 48, 2, bidirectional=True), "out": nn.Linear(96, 10)}),
    "GRU": lambda: nn.ModuleDict({"rnn": nn.GRU(64, 48), "out": nn.Linear(48, 10)}),
    "a transformer": lambda: nn.Transformer(64, 4, 2, 2, 128, batch_first=True),
    "weight normalization": lambda: nn.utils.parametrizations.weight_norm(nn.Conv1d(32, 32, 5)),
    "depthwise": lambda: nn.Sequential(nn.Conv2d(32, 32, 3, groups=32), nn.BatchNorm2d(32), nn.Conv2d(32, 64, 1)),
}


def diagnosed(net: nn.Module, path: Path) -> initctl.Diagnosis:
    torch.save(net.state_dict(), path / "m.pt")
    return initctl.doctor(path / "m.pt")


def codes(found: initctl.Diagnosis) -> set[str]:
    return {one.check.code for one in found.findings}


def fixed(found: initctl.Diagnosis, path: Path) -> set[str]:
    """What is found once all rules were applied."""
    initctl.apply(path / "m.pt", path / "fixed.pt", rules=found.rules, seed=3)
    return codes(initctl.doctor(path / "fixed.pt"))


@pytest.mark.parametrize("build", SOUND.values(), ids=SOUND)
def test_nothing_is_found_in_what_torch_initializes(build: Callable[[], nn.Module], tmp_path: Path):
    torch.manual_seed(0)
    found = diagnosed(build(), tmp_path)
    assert not found.findings
    assert not found.reading.is_trained


def test_layers_that_a_transformer_encoder_copies_are_found(tmp_path: Path):
    layer = nn.TransformerEncoderLayer(64, 4, 128, batch_first=True)
    found = diagnosed(nn.TransformerEncoder(layer, 3), tmp_path)
    assert codes(found) == {"symmetry.identical"}
    assert fixed(found, tmp_path) == set()


def test_torchs_embeddings_are_large(tmp_path: Path):
    found = diagnosed(nn.ModuleDict({"embed": nn.Embedding(1000, 64), "out": nn.Linear(64, 1000)}), tmp_path)
    assert [(one.check.code, one.tensor) for one in found.findings] == [("embeddings.large", "embed.weight")]
    assert fixed(found, tmp_path) == set()


@pytest.mark.parametrize(("gain", "word"), [(0.2, "vanishes"), (4.0, "explodes")])
def test_a_signal_that_is_lost_over_depth_is_found_in_each_layer(gain: float, word: str, tmp_path: Path):
    net = layers(*[64] * 13)
    for layer in net:
        nn.init.normal_(layer.weight, std=gain * (2 / 64) ** 0.5)
    found = diagnosed(net, tmp_path)
    assert codes(found) == {"spread.depth"}
    assert len(found.findings) == 12
    assert f"the signal {word}: 12 layers multiply it by" in found.findings[0].message
    assert fixed(found, tmp_path) == set()


def test_gains_of_networks_beside_each_other_do_not_multiply(tmp_path: Path):
    """As an actor and its critics in one file; each of them is short."""
    assert not diagnosed(nn.ModuleDict({name: layers(*[64] * 5) for name in "abcd"}), tmp_path).findings


def test_gains_of_residual_blocks_do_not_multiply(tmp_path: Path):
    blocks = (nn.ModuleDict({"fc1": nn.Linear(64, 64), "fc2": nn.Linear(64, 64)}) for _ in range(8))
    assert not diagnosed(nn.ModuleList(blocks), tmp_path).findings


def test_gains_do_not_multiply_where_norms_are_in_between(tmp_path: Path):
    net = nn.Sequential(*(module for _ in range(12) for module in (nn.Linear(64, 64), nn.LayerNorm(64))))
    assert not diagnosed(net, tmp_path).findings


def test_ones_everywhere_are_a_spread_that_is_too_large_with_its_gain(tmp_path: Path):
    net = layers(256, 256, 10)
    nn.init.normal_(net[0].weight)
    found = diagnosed(net, tmp_path)
    assert codes(found) == {"spread.large"}
    assert "(gain 16 at fan_in 256)" in found.findings[0].message
    assert fixed(found, tmp_path) == set()


def test_tied_tensors_are_one_finding_whose_rule_names_both(tmp_path: Path):
    net = nn.ModuleDict({"embed": nn.Embedding(100, 64), "out": nn.Linear(64, 100, bias=False)})
    net["out"].weight = net["embed"].weight
    with torch.no_grad():
        net["embed"].weight.mul_(0.02)[3, 4] = float("nan")
    found = diagnosed(net, tmp_path)
    assert [one.rule for one in found.findings] == ["{embed.weight,out.weight}=normal:std=0.02"]
    assert fixed(found, tmp_path) == set()


@pytest.mark.parametrize(
    "name", ["lora_B.weight", "adaLN_modulation.weight", "zero_conv.weight", "bbox_embed.2.weight"]
)
def test_layers_that_begin_at_zero_on_purpose_are_no_fault(name: str, tmp_path: Path):
    torch.save({name: torch.zeros(64, 64), "fc.weight": torch.randn(64, 64) / 8}, tmp_path / "m.pt")
    assert not initctl.doctor(tmp_path / "m.pt").findings


def test_an_output_that_may_be_tied_to_the_embedding_holds_the_same_on_purpose(tmp_path: Path):
    table = torch.randn(100, 64) / 50
    torch.save({"wte.weight": table, "lm_head.weight": table.clone()}, tmp_path / "m.pt")
    assert not initctl.doctor(tmp_path / "m.pt").findings


@pytest.mark.parametrize("name", ["ema", "net_target", "target_net", "encoder_k"])
def test_a_copy_of_a_network_holds_the_same_on_purpose(name: str, tmp_path: Path):
    weights = {"net.fc.weight": torch.randn(64, 64) / 8, "net.out.weight": torch.randn(10, 64) / 8}
    copies = {key.replace("net.", f"{name}."): weight.clone() for key, weight in weights.items()}
    torch.save({**weights, **copies}, tmp_path / "m.pt")
    assert not initctl.doctor(tmp_path / "m.pt").findings


def test_masks_and_tables_that_a_model_computes_are_not_judged(tmp_path: Path):
    tensors = {
        "attn.masked_bias": torch.tensor(-3e38), "attn.mask": torch.full((64, 64), -float("inf")).triu(1),
        "rotary.inv_freq": torch.zeros(32), "fc.weight": torch.randn(64, 64) / 8,
    }  # fmt: skip
    torch.save(tensors, tmp_path / "m.pt")
    assert not initctl.doctor(tmp_path / "m.pt").findings


def test_biases_that_start_from_a_grid_or_a_prior_are_no_fault(tmp_path: Path):
    net = nn.ModuleDict({"sampling_offsets": nn.Linear(64, 32), "head": nn.Linear(64, 10)})
    with torch.no_grad():
        net["sampling_offsets"].bias.copy_(torch.arange(32) % 4)
        net["head"].bias.fill_(-4.6)
    assert not diagnosed(net, tmp_path).findings


def test_nothing_at_all_is_no_fault(tmp_path: Path):
    torch.save({"steps": torch.arange(3), "empty": torch.empty(0, 4)}, tmp_path / "m.pt")
    assert not initctl.doctor(tmp_path / "m.pt").findings


def test_a_normal_where_the_preset_cuts_at_three_sigma_is_found(tmp_path: Path):
    net = layers(256, 256, 256)
    for layer in net:
        nn.init.trunc_normal_(layer.weight, std=0.02)
        nn.init.zeros_(layer.bias)
    torch.save(net.state_dict(), tmp_path / "m.pt")
    found = initctl.doctor(tmp_path / "m.pt", preset="olmo2")
    assert codes(found) == {"spread.truncation"}
    assert "is cut at -0.06 and 0.06" in found.findings[0].message
    initctl.apply(tmp_path / "m.pt", tmp_path / "fixed.pt", rules=found.rules)
    assert not initctl.doctor(tmp_path / "fixed.pt", preset="olmo2").findings


def test_proposals_have_six_digits_and_fix_it(tmp_path: Path):
    config = {"model_type": "gpt2", "n_layer": 3, "n_embd": 64, "initializer_range": 0.02}
    (tmp_path / "config.json").write_text(json.dumps(config))
    torch.save({f"h.{n}.mlp.c_proj.weight": torch.randn(256, 64) for n in range(3)}, tmp_path / "m.pt")
    found = initctl.doctor(tmp_path / "m.pt")
    assert found.rules == ["*.weight=normal:std=0.00816497"]
    assert "but normal:std=0.00816497 gives 0.00816" in found.findings[0].message
    assert fixed(found, tmp_path) == set()


@pytest.mark.parametrize(
    ("initializer", "short"),
    [
        ("normal:std=0.0070710678118654745", "normal:std=0.00707107"),
        ("trunc_normal:std=1.2345678e-05,a=-0.1234567890,b=2", "trunc_normal:std=1.23457e-05,a=-0.123457,b=2"),
        ("normal:std=0.02", "normal:std=0.02"),
        ("constant:val=2.302585092994046", "constant:val=2.302585092994046"),
    ],
)
def test_numbers_in_proposals_are_short_but_for_constants(initializer: str, short: str):
    assert shortened(initializer) == short


def test_what_a_preset_does_is_no_fault_if_it_is_named(tmp_path: Path):
    net = nn.ModuleDict({"embed": nn.Embedding(1000, 64), "out": nn.Linear(64, 1000)})
    torch.save(net.state_dict(), tmp_path / "m.pt")
    assert not initctl.doctor(tmp_path / "m.pt", preset="torch-default").findings
    with pytest.raises(initctl.UsageError, match="unknown preset gpt3"):
        initctl.doctor(tmp_path / "m.pt", preset="gpt3")


def test_vectors_of_a_layer_have_no_units(tmp_path: Path):
    """RWKV mixes times by numbers between 0 and 1, the same in each layer."""
    mix = {f"blocks.{n}.attention.time_mix_{name}": torch.rand(1, 1, 64) for n in range(2) for name in ("key", "value")}
    mix["blocks.1.attention.time_mix_key"] = mix["blocks.0.attention.time_mix_key"].clone()
    torch.save({**mix, "fc.weight": torch.randn(64, 64) / 8}, tmp_path / "m.pt")
    assert not initctl.doctor(tmp_path / "m.pt").findings


def test_what_was_damaged_on_its_way_is_found_by_the_checksum_of_the_archive(tmp_path: Path):
    tensors = {name: torch.randn(64, 64) / 8 for name in ("a.weight", "b.weight", "c.weight")}
    torch.save(tensors | {"part": tensors["b.weight"][3]}, tmp_path / "m.pt")
    content = bytearray((tmp_path / "m.pt").read_bytes())
    content[content.index(tensors["b.weight"].numpy().tobytes()[800:900]) + 8] ^= 1
    (tmp_path / "m.pt").write_bytes(content)
    found = initctl.doctor(tmp_path / "m.pt")
    assert [(one.tensor, one.check.code, one.rule) for one in found.findings] == [
        ("b.weight", "values.damaged", None), ("part", "values.damaged", None),
    ]  # fmt: skip
