"""A rule for an output layer that a file leaves out learns which tensor the file holds instead."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import torch
from safetensors.torch import save_file

import initctl
from initctl.planning.tied import ties
from tests.planning.tables import checkpoint_of, refusal

if TYPE_CHECKING:
    from pathlib import Path

DECODER = {
    "model.embed_tokens.weight": ("F32", [16, 4]),
    "model.layers.0.mlp.up_proj.weight": ("F32", [8, 4]),
    "model.norm.weight": ("F32", [4]),
}


def told(folder: Path, config: dict[str, Any] | None, names: list[str], rule: str) -> str:
    if config is not None:
        (folder / "config.json").write_text(json.dumps(config))
    table = {name: ("F32", [4, 4]) for name in names}
    message = refusal(folder, table, f"{rule}=normal:std=0.02")
    assert message.startswith(f"rule 1 ({rule}=normal:std=0.02): matches no tensor")
    return message.partition("matches no tensor")[2]


def tied(left_out: str, kept: str) -> str:
    return f": {left_out} is tied to {kept}, which the file holds instead; write '{kept}'"


LAYOUTS = [
    ({"model_type": "llama", "tie_word_embeddings": True}, "model.embed_tokens.weight", "lm_head.weight"),
    ({"model_type": "gemma"}, "model.embed_tokens.weight", "lm_head.weight"),
    ({"model_type": "gpt2"}, "transformer.wte.weight", "lm_head.weight"),
    ({"model_type": "gpt2"}, "wte.weight", "lm_head.weight"),
    ({"model_type": "t5"}, "shared.weight", "lm_head.weight"),
    ({"model_type": "bart"}, "model.shared.weight", "lm_head.weight"),
    ({"model_type": "bloom"}, "transformer.word_embeddings.weight", "lm_head.weight"),
    ({"model_type": "opt"}, "model.decoder.embed_tokens.weight", "lm_head.weight"),
    ({"model_type": "whisper"}, "model.decoder.embed_tokens.weight", "proj_out.weight"),
    ({"model_type": "mamba"}, "backbone.embeddings.weight", "lm_head.weight"),
    ({"model_type": "bert"}, "bert.embeddings.word_embeddings.weight", "cls.predictions.decoder.weight"),
    ({"model_type": "roberta"}, "roberta.embeddings.word_embeddings.weight", "lm_head.decoder.weight"),
    ({"model_type": "electra"}, "electra.embeddings.word_embeddings.weight", "generator_lm_head.weight"),
    ({"model_type": "distilbert"}, "distilbert.embeddings.word_embeddings.weight", "vocab_projector.weight"),
    ({"model_type": "gpt_neox", "tie_word_embeddings": True}, "gpt_neox.embed_in.weight", "embed_out.weight"),
    ({"model_type": "qwen2_vl", "text_config": {"tie_word_embeddings": True}},
     "model.language_model.embed_tokens.weight", "lm_head.weight"),
    ({"text_config": {"model_type": "gemma3_text"}}, "language_model.model.embed_tokens.weight",
     "language_model.lm_head.weight"),
    ({"model_type": "own", "tie_word_embeddings": True}, "tok_embeddings.weight", "output.weight"),
]  # fmt: skip


@pytest.mark.parametrize(("config", "kept", "left_out"), LAYOUTS)
def test_the_tensor_that_is_kept_is_named(tmp_path: Path, config: dict[str, Any], kept: str, left_out: str):
    names = [kept, "model.layers.0.mlp.up_proj.weight", "model.norm.weight"]
    assert told(tmp_path, config, names, left_out) == tied(left_out, kept)


@pytest.mark.parametrize(
    "pattern", ["*lm_head.weight", "lm_head.*", "{lm_head,score}.weight", "*lm_head*", "lm_h?ad.w*"]
)
def test_a_pattern_for_it_is_told_too(tmp_path: Path, pattern: str):
    config = {"model_type": "llama", "tie_word_embeddings": True}
    assert told(tmp_path, config, list(DECODER), pattern) == tied("lm_head.weight", "model.embed_tokens.weight")


@pytest.mark.parametrize("call", [initctl.plan, initctl.apply, initctl.verify])
def test_plan_apply_and_verify_say_the_same(tmp_path: Path, call: Any):
    (tmp_path / "config.json").write_text('{"model_type": "gpt2"}')
    path = checkpoint_of(tmp_path, {"transformer.wte.weight": ("F32", [4, 4])})
    output = [tmp_path / "out"] if call is initctl.apply else []
    with pytest.raises(
        initctl.FitError, match=r"lm_head\.weight is tied to transformer\.wte\.weight, which the file holds instead"
    ):
        call(path, *output, rules=["lm_head.weight=zeros"])


@pytest.mark.parametrize("config", [None, {"model_type": "llama"}, {"model_type": 3}, {}])
def test_without_a_word_on_ties_it_is_only_supposed(tmp_path: Path, config: dict[str, Any] | None):
    assert told(tmp_path, config, list(DECODER), "lm_head.weight") == (
        "; if lm_head.weight is tied to model.embed_tokens.weight, write 'model.embed_tokens.weight'"
    )


@pytest.mark.parametrize(
    "config", [{"tie_word_embeddings": False}, {"model_type": "gpt2", "tie_word_embeddings": False}]
)
def test_what_is_not_tied_is_not_told_to_be(tmp_path: Path, config: dict[str, Any]):
    assert "tied" not in told(tmp_path, config, list(DECODER), "lm_head.weight")


@pytest.mark.parametrize(
    ("names", "rule"),
    [
        (["conv1.weight", "fc.weight"], "lm_head.weight"),
        (list(DECODER), "lm_haed.weight"),
        (list(DECODER), "model.layers.0.mlp.down_proj.weight"),
    ],
)
def test_other_typos_are_answered_as_before(tmp_path: Path, names: list[str], rule: str):
    assert "tied" not in told(tmp_path, {"tie_word_embeddings": True}, names, rule)


@pytest.mark.parametrize(
    ("left_out", "kept"),
    [
        ("encoder.embed_tokens.weight", "shared.weight"),
        ("model.decoder.embed_tokens.weight", "model.shared.weight"),
        ("cls.predictions.decoder.bias", "cls.predictions.bias"),
        ("lm_head.decoder.bias", "lm_head.bias"),
    ],
)
def test_what_is_always_tied_is_told_whatever_the_config_says(tmp_path: Path, left_out: str, kept: str):
    assert told(tmp_path, {"tie_word_embeddings": False}, [kept, "x.weight"], left_out) == tied(left_out, kept)


@pytest.mark.parametrize(("is_tied", "sure"), [(True, True), (None, True), (False, False)])
def test_what_is_in_the_file_by_both_names_is_not_tied_if_the_config_says_so(
    tmp_path: Path, is_tied: bool | None, sure: bool
):
    names = ["model.shared.weight", "model.encoder.embed_tokens.weight"]
    config = {} if is_tied is None else {"tie_word_embeddings": is_tied}
    (tmp_path / "config.json").write_text(json.dumps(config))
    checkpoint = initctl.inspect(checkpoint_of(tmp_path, {name: ("F32", [4, 4]) for name in names}))
    found = {tie.left_out: tie for tie in ties(checkpoint)}
    assert found["model.encoder.embed_tokens.weight"] == (*reversed(names), sure)


def test_a_config_that_cannot_be_read_changes_nothing(tmp_path: Path):
    (tmp_path / "config.json").write_text("{")
    assert "; if lm_head.weight is tied to" in told(tmp_path, None, list(DECODER), "lm_head.weight")


SMALL = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}


@pytest.mark.parametrize(
    ("family", "sizes", "left_out", "kept"),
    [
        ("GPT2LMHeadModel", {"n_embd": 8, "n_layer": 1, "n_head": 2}, "lm_head.weight", "transformer.wte.weight"),
        ("T5ForConditionalGeneration", {"d_model": 8, "d_kv": 4, "d_ff": 8, "num_layers": 1, "num_heads": 2},
         "lm_head.weight", "shared.weight"),
        ("BertForMaskedLM", SMALL,
         "cls.predictions.decoder.weight", "bert.embeddings.word_embeddings.weight"),
        ("LlamaForCausalLM", {**SMALL, "tie_word_embeddings": True}, "lm_head.weight", "model.embed_tokens.weight"),
    ],
)  # fmt: skip
def test_what_transformers_saves_is_understood(
    tmp_path: Path, family: str, sizes: dict[str, Any], left_out: str, kept: str
):
    transformers = pytest.importorskip("transformers")
    model_class = getattr(transformers, family)
    model = model_class(model_class.config_class(vocab_size=16, **sizes))
    model.save_pretrained(tmp_path)
    assert left_out in model.state_dict()
    with pytest.raises(initctl.FitError) as raised:
        initctl.plan(tmp_path, rules=[f"{left_out}=zeros"])
    assert str(raised.value).endswith(tied(left_out, kept))
    assert initctl.plan(tmp_path, rules=[f"{kept}=zeros"]).actions


def test_a_bias_of_all_layers_is_one_and_a_mask_is_not(tmp_path: Path):
    tensors = {"l.fc.weight": torch.ones(3, 4, 4), "l.fc.bias": torch.ones(3, 4), "l.mask.bias": torch.ones(4, 4, 4, 4),
               "l.norm.weight": torch.ones(3, 4), "l.norm.bias": torch.ones(3, 4)}  # fmt: skip
    save_file(tensors, tmp_path / "m.safetensors")
    (warning,) = initctl.plan(tmp_path / "m.safetensors", rules=["*.bias=zeros"]).warnings
    assert "tensor l.mask.bias has 4 dims, which no bias has" in warning.message


@pytest.mark.parametrize(("config", "warnings"), [({"model_type": "gpt2"}, 0), ({"model_type": "own"}, 1)])
def test_a_rule_for_both_warns_only_if_they_may_not_be_tied(tmp_path: Path, config: dict[str, Any], warnings: int):
    (tmp_path / "config.json").write_text(json.dumps(config))
    path = checkpoint_of(tmp_path, {"wte.weight": ("F32", [4, 4])})
    assert len(initctl.plan(path, rules=["{wte,lm_head}.weight=zeros"]).warnings) == warnings
    assert len(initctl.plan(path, rules=["{wte,lm_haed}.weight=zeros"]).warnings) == 1


def test_a_rule_for_all_names_of_one_embedding_does_not_warn_of_those_that_the_file_leaves_out(tmp_path: Path):
    path = checkpoint_of(tmp_path, {"shared.weight": ("F32", [4, 4])})
    assert not initctl.plan(path, rules=["{shared,encoder.embed_tokens}.weight=zeros"]).warnings
