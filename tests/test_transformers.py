"""What transformers saved in shards is initialized, and transformers loads it again."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import torch
from safetensors.torch import load_file

import initctl
from initctl.stream import Normal, TruncNormal, Uniform
from tests.commit.folders import contents, snapshot
from tests.execution.checkpoints import assert_written, ranges, recomputed

if TYPE_CHECKING:
    from pathlib import Path

SEED = 11
INDEX = "model.safetensors.index.json"
RULES = [
    "model.layers.*_proj.weight=normal:std=0.02",
    "model.layers.1.mlp.down_proj.weight=kaiming_uniform:a=0,nonlinearity=relu",
    "model.embed_tokens.weight=trunc_normal:std=0.02,cut=2",
    "*norm*.weight=ones",
    "model.layers.0.self_attn.*=keep",
]
"""In `lm_head` and in one layer's attention everything stays."""


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small Llama model in several shards."""
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=96, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=64, tie_word_embeddings=False,
    )  # fmt: skip
    folder = tmp_path_factory.mktemp("saved") / "llama"
    torch.manual_seed(0)
    LlamaForCausalLM(config).save_pretrained(folder, max_shard_size="30KB")
    (folder / "tokenizer.json").write_text("{}")
    assert len(list(folder.glob("*.safetensors"))) > 2
    return folder


def expected(name: str, shape: tuple[int, ...]) -> torch.Tensor | None:
    """What RULES make of a tensor of the model; None where it stays."""
    if name.endswith("norm.weight"):
        return torch.ones(shape)
    if name == "model.embed_tokens.weight":
        return recomputed(name, TruncNormal(0, 0.02, -0.04, 0.04), shape, seed=SEED)
    if name == "model.layers.1.mlp.down_proj.weight":
        bound = 2**0.5 * (3 / shape[1]) ** 0.5
        return recomputed(name, Uniform(-bound, bound), shape, seed=SEED)
    if name.endswith("_proj.weight") and ".0.self_attn." not in name:
        return recomputed(name, Normal(0, 0.02), shape, seed=SEED)
    return None


def assert_initialized(before: dict[str, Any], after: dict[str, Any]) -> dict[str, torch.Tensor]:
    """Shards hold the expected tensors, and all else is the same to the byte; returns the expected tensors."""
    assert set(after) == set(before)
    values = {}
    for name, content in before.items():
        filled = {}
        if name.endswith(".safetensors"):
            entries = ranges(content).items()
            filled = {n: t for n, entry in entries if (t := expected(n, entry.shape)) is not None}
        if filled:
            assert_written(content, after[name], filled)
        else:
            assert after[name] == content
        values |= filled
    return values


def assert_loads(folder: Path, values: dict[str, torch.Tensor], others: dict[str, torch.Tensor]) -> None:
    """transformers loads exactly these tensors."""
    from transformers import LlamaForCausalLM

    model, loading = LlamaForCausalLM.from_pretrained(folder, output_loading_info=True, dtype=torch.float32)
    assert not any(loading.values())
    state = model.state_dict()
    assert set(state) == set(values) | set(others)
    assert all(torch.equal(state[name], tensor) for name, tensor in (others | values).items())


def tensors_of(folder: Path) -> dict[str, torch.Tensor]:
    return {name: tensor for shard in folder.glob("*.safetensors") for name, tensor in load_file(shard).items()}


@pytest.mark.parametrize("given", ["", INDEX])
def test_the_result_loads_and_holds_the_values_of_the_rules(saved: Path, tmp_path: Path, given: str):
    before = snapshot(saved)
    applied = initctl.apply(saved / given, tmp_path / "out", rules=RULES, seed=SEED)
    values = assert_initialized(contents(saved), contents(tmp_path / "out"))
    assert set(values) == {action.tensor.name for action in applied.plan.actions}
    assert len(values) == 1 + 5 + 10
    assert_loads(tmp_path / "out", values, tensors_of(saved))
    assert snapshot(saved) == before


def test_index_and_metadata_are_equal(saved: Path, tmp_path: Path):
    initctl.apply(saved, tmp_path / "out", rules=RULES, seed=SEED)
    for name in (INDEX, "config.json", "generation_config.json", "tokenizer.json"):
        assert (tmp_path / "out" / name).read_bytes() == (saved / name).read_bytes()
    assert json.loads((saved / INDEX).read_text())["metadata"]["total_size"]
    assert initctl.inspect(tmp_path / "out").metadata == initctl.inspect(saved).metadata
    assert all(metadata == {"format": "pt"} for metadata in initctl.inspect(saved).metadata.values())


def test_in_place_gives_the_same_directory(saved: Path, tmp_path: Path):
    initctl.apply(saved, tmp_path / "model", rules=["*=keep"])
    assert contents(tmp_path / "model") == contents(saved)
    before = snapshot(tmp_path / "model")
    applied = initctl.apply(tmp_path / "model", in_place=True, rules=RULES, seed=SEED)
    values = assert_initialized(contents(saved), contents(tmp_path / "model"))
    assert_loads(tmp_path / "model", values, tensors_of(saved))
    after = snapshot(tmp_path / "model")
    assert {name for name in before if after[name] != before[name]} == set(applied.files)
    assert {name: entry.mode for name, entry in after.items()} == {name: entry.mode for name, entry in before.items()}
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_one_rule_in_place_changes_one_shard(saved: Path, tmp_path: Path):
    initctl.apply(saved, tmp_path / "model", rules=["*=keep"])
    before = snapshot(tmp_path / "model")
    applied = initctl.apply(tmp_path / "model", in_place=True, rules=["lm_head.weight=zeros"])
    after = snapshot(tmp_path / "model")
    assert {name for name in before if after[name] != before[name]} == set(applied.files)
    assert len(applied.files) == 1
    zeros = {"lm_head.weight": torch.zeros(96, 32)}
    assert_loads(tmp_path / "model", zeros, tensors_of(saved))


def test_a_bfloat16_model_holds_the_rounding_of_the_same_values(saved: Path, tmp_path: Path):
    from transformers import LlamaForCausalLM

    LlamaForCausalLM.from_pretrained(saved, dtype=torch.bfloat16).save_pretrained(tmp_path / "half")
    initctl.apply(tmp_path / "half", tmp_path / "out", rules=RULES, seed=SEED)
    loaded = load_file(tmp_path / "out" / "model.safetensors")
    values = {name: expected(name, tuple(tensor.shape)) for name, tensor in loaded.items()}
    assert all(torch.equal(loaded[name], wanted.bfloat16()) for name, wanted in values.items() if wanted is not None)
    assert torch.equal(loaded["lm_head.weight"], tensors_of(saved)["lm_head.weight"].bfloat16())


def test_a_gpt2_with_tied_embeddings_loads_too(tmp_path: Path):
    from transformers import GPT2Config, GPT2LMHeadModel

    config = GPT2Config(
        vocab_size=64, n_positions=32, n_embd=16, n_layer=2, n_head=2, bos_token_id=0, eos_token_id=0, pad_token_id=0
    )
    GPT2LMHeadModel(config).save_pretrained(tmp_path / "gpt2", max_shard_size="10KB")
    rules = ["*.bias=zeros", "*.c_*.weight=normal:std=0.02", "*wte.weight=normal:std=0.01", "*.ln_*.weight=ones"]
    initctl.apply(tmp_path / "gpt2", tmp_path / "out", rules=rules, seed=SEED)
    model = GPT2LMHeadModel.from_pretrained(tmp_path / "out")
    wanted = recomputed("transformer.wte.weight", Normal(0, 0.01), (64, 16), seed=SEED)
    assert torch.equal(model.transformer.wte.weight, wanted)
    assert model.lm_head.weight is model.transformer.wte.weight
    c_attn = recomputed("transformer.h.1.attn.c_attn.weight", Normal(0, 0.02), (16, 48), seed=SEED)
    assert torch.equal(model.transformer.h[1].attn.c_attn.weight, c_attn)
    assert not model.transformer.h[0].mlp.c_fc.bias.any()
