"""Presets of model families give what transformers gives a fresh model, tensor by tensor."""

from __future__ import annotations

import json
from dataclasses import astuple, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

import initctl
from initctl.stream import Normal, TruncNormal, Uniform
from initctl.stream.laws import UniformLog
from tests.presets.comparing import compare
from tests.presets.fresh import FILE, SAMPLES, SPOILT, loads, quiet, saved
from tests.presets.libraries import of_diffusers
from tests.presets.models import models

if TYPE_CHECKING:
    from pathlib import Path

    from tests.presets.fresh import Saved
    from tests.presets.model import Model

MODELS = {str(model): model for model in models()}
LLAMA = "llama: LlamaForCausalLM"


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Saved:
    return saved(MODELS[LLAMA], tmp_path_factory.mktemp("llama"))["hub"]


@pytest.mark.parametrize("model", MODELS.values(), ids=str)
def test_the_preset_that_config_json_chooses_gives_what_transformers_gives(model: Model, tmp_path: Path):
    for spelling, checkpoint in saved(model, tmp_path).items():
        plan, _ = checkpoint.applied(tmp_path / f"{spelling}-out", preset="auto")
        assert {action.rule.source.partition(":")[0] for action in plan.actions} == {f"preset {model.preset}"}


def test_every_preset_for_a_model_type_is_proven_with_a_model_of_it():
    from initctl.recipes.presets import presets

    proven = {(model.preset, model.config().model_type) for model in MODELS.values()}
    proven |= {(model.preset, model.model.name) for model in of_diffusers()}
    assert proven == {(name, kind) for name, preset in presets().items() for kind in preset.model_types}


def test_no_model_type_has_two_presets():
    from initctl.recipes.presets import presets

    kinds = [kind for preset in presets().values() for kind in preset.model_types]
    assert len(kinds) == len(set(kinds))


@pytest.mark.parametrize(
    "rule",
    [
        "*.v_proj.weight=normal:std=0.034",
        "*.v_proj.weight=normal:std=0.03,mean=0.004",
        "*.v_proj.weight=uniform:a=-0.052,b=0.052",
        "*.q_proj.weight=trunc_normal:std=0.0341,cut=2",
        "model.embed_tokens.weight=normal:std=0.031",
        "model.embed_tokens.weight[5:6]=normal:std=0.03",
        "model.embed_tokens.weight[6:7]=zeros",
        "model.layers.1.mlp.down_proj.weight[:8]=zeros",
        "model.norm.weight=constant:val=0.9999999",
        "model.norm.weight[7:8]=zeros",
        "*_layernorm.weight=zeros",
        "model.layers.0.self_attn.q_proj.weight=keep",
    ],
)
def test_what_differs_from_transformers_is_noticed(llama: Saved, tmp_path: Path, rule: str):
    with pytest.raises(AssertionError, match=r"sigma|constants differ|zeros stand"):
        llama.compared(tmp_path / "out", preset="llama", rules=[rule])


def test_a_tensor_that_no_rule_decides_is_noticed(llama: Saved, tmp_path: Path):
    recipe = tmp_path / "recipe.toml"
    recipe.write_text('optional = true\n[[rule]]\nmatch = "*_proj.weight"\ninit = "normal"\n')
    with pytest.raises(initctl.FitError, match=r"no rule decides lm_head\.weight"):
        llama.compared(tmp_path / "out", recipes=[recipe])


OLD_FILES: list[tuple[str, dict[str, str], dict[str, Any]]] = [
    ("bert: BertForMaskedLM", {"LayerNorm.weight": "LayerNorm.gamma", "LayerNorm.bias": "LayerNorm.beta"},
     {"bert.embeddings.position_ids": np.arange(128)[None]}),
    ("bert: BertModel", {"": "bert."}, {}),
    ("roberta: RobertaModel", {"": "roberta."}, {"roberta.embeddings.position_ids": np.arange(128)[None]}),
    ("gpt2: GPT2LMHeadModel", {"transformer.": ""},
     {"h.0.attn.bias": np.tril(np.ones((1, 1, 128, 128), np.float32)), "h.0.attn.masked_bias": np.float32([-1e4])}),
    ("gpt2: GPT2LMHeadModel", {}, {"transformer.h.0.attn.bias": np.tril(np.ones((1, 1, 128, 128), np.uint8))}),
    ("gpt_neox: GPTNeoXModel", {"": "gpt_neox."},
     {"gpt_neox.layers.0.attention.bias": np.tril(np.ones((1, 1, 128, 128), bool)),
      "gpt_neox.layers.0.attention.masked_bias": np.array(-1e9, np.float32),
      "gpt_neox.layers.0.attention.rotary_emb.inv_freq": np.ones(4, np.float32)}),
    ("llama: LlamaModel", {"": "model."},
     {"model.layers.0.self_attn.rotary_emb.inv_freq": np.ones(4, np.float32)}),
    ("clip-hf: CLIPTextModel", {"": "text_model."}, {"text_model.embeddings.position_ids": np.arange(128)[None]}),
    ("clip-hf: CLIPVisionModel", {"": "vision_model."}, {"vision_model.embeddings.position_ids": np.arange(17)[None]}),
    ("clip-hf: CLIPTextModel", {}, {"embeddings.position_ids": np.arange(128, dtype=np.float16)[None]}),
    ("vit: ViTModel", {"": "vit."}, {}),
    ("whisper: WhisperModel", {"": "model."}, {}),
    ("resnet-hf: ResNetModel", {"": "resnet."}, {}),
    ("gemma2: Gemma2Model", {"": "model."}, {}),
    ("gemma3: Gemma3ForConditionalGeneration", {"vision_tower.": "vision_tower.vision_model."}, {}),
    ("wav2vec2: Wav2Vec2Model", {"": "wav2vec2.", "parametrizations.weight.original0": "weight_g",
                                 "parametrizations.weight.original1": "weight_v"}, {}),
    ("wav2vec2: HubertModel", {"parametrizations.weight.original0": "weight_g",
                               "parametrizations.weight.original1": "weight_v"}, {}),
    ("siglip: SiglipModel", {}, {"text_model.embeddings.position_ids": np.arange(32)[None],
                                 "vision_model.embeddings.position_ids": np.arange(64)[None]}),
    ("distilbert: DistilBertModel", {"": "distilbert."}, {}),
    ("deberta: DebertaV2Model", {"": "deberta."}, {"deberta.embeddings.position_ids": np.arange(128)[None]}),
    ("electra: ElectraModel", {"": "electra."}, {"electra.embeddings.position_ids": np.arange(128)[None]}),
    ("opt: OPTModel", {"": "model."}, {}),
    ("bloom: BloomModel", {"": "transformer."}, {}),
    ("bart: BartModel", {"": "model."}, {}),
    ("phi: PhiModel", {"": "model."}, {}),
    ("dinov2: Dinov2Model", {"": "dinov2."}, {}),
    ("gptj: GPTJForCausalLM", {},
     {"transformer.h.0.attn.bias": np.tril(np.ones((1, 1, 100, 100), bool)),
      "transformer.h.0.attn.masked_bias": np.array(-1e9, np.float32)}),
    ("gptj: GPTNeoForCausalLM", {},
     {"transformer.h.0.attn.attention.bias": np.tril(np.ones((1, 1, 100, 100), np.uint8)),
      "transformer.h.0.attn.attention.masked_bias": np.array(-1e9, np.float32)}),
    ("swin: SwinModel", {"": "swin."}, {}),
    ("albert: AlbertModel", {"": "albert."}, {"albert.embeddings.position_ids": np.arange(128)[None]}),
]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "names", "kept"), OLD_FILES, ids=lambda value: value if isinstance(value, str) else ""
)
def test_names_that_transformers_still_loads_are_known_and_buffers_stay(
    tmp_path: Path, name: str, names: dict[str, str], kept: dict[str, Any]
):
    checkpoint = saved(MODELS[name], tmp_path / "saved")["hub"].spelled(tmp_path / "old", names, kept)
    checkpoint.compared(tmp_path / "out", preset="auto")
    assert loads(MODELS[name], tmp_path / "out")


def test_the_names_of_mambas_authors_are_known(tmp_path: Path):
    names = {".embeddings.": ".embedding."}
    checkpoint = saved(MODELS["mamba: MambaForCausalLM"], tmp_path / "saved")["hub"]
    checkpoint.spelled(tmp_path / "authors", names, {}).compared(tmp_path / "out", preset="mamba")


TIED = [
    "gpt2: GPT2LMHeadModel", "gpt_neox: GPTNeoXForCausalLM", "llama: LlamaForCausalLM", "qwen2: Qwen2ForCausalLM",
    "qwen3: Qwen3ForCausalLM", "gemma2: Gemma2ForCausalLM", "gemma3: Gemma3ForCausalLM", "bert: BertForPreTraining",
    "roberta: RobertaForMaskedLM", "t5: T5ForConditionalGeneration", "whisper: WhisperForConditionalGeneration",
    "mamba: MambaForCausalLM", "mamba2: Mamba2ForCausalLM", "mixtral: MixtralForCausalLM",
    "qwen3_moe: Qwen3MoeForCausalLM", "deepseek_v3: DeepseekV3ForCausalLM", "gpt_oss: GptOssForCausalLM",
    "distilbert: DistilBertForMaskedLM", "electra: ElectraForMaskedLM", "deberta: DebertaV2ForMaskedLM",
    "bart: BartForConditionalGeneration", "opt: OPTForCausalLM", "bloom: BloomForCausalLM", "falcon: FalconForCausalLM",
    "phi: PhiForCausalLM", "qwen2_vl: Qwen2VLForConditionalGeneration", "qwen3_vl: Qwen3VLForConditionalGeneration",
    "llama4: Llama4ForCausalLM", "gemma3n: Gemma3nForCausalLM", "gemma4: Gemma4ForCausalLM",
    "qwen3_next: Qwen3NextForCausalLM", "modernbert: ModernBertForMaskedLM", "albert: AlbertForMaskedLM",
    "mpnet: MPNetForMaskedLM", "gptj: GPTNeoForCausalLM", "mpt: MptForCausalLM", "lfm2: Lfm2ForCausalLM",
    "mistral3: Mistral3ForConditionalGeneration",
]  # fmt: skip


@pytest.mark.parametrize("name", TIED)
def test_a_pickled_model_with_tied_heads_is_initialized_alike(name: str, tmp_path: Path):
    tied = replace(MODELS[name], settings={**MODELS[name].settings, "tie_word_embeddings": True})
    states = []
    for seed in range(SAMPLES):
        with quiet():
            model = tied.build(seed)
        states.append({key: tensor.numpy().copy() for key, tensor in model.state_dict().items()})
    with torch.no_grad():
        for tensor in model.parameters():
            tensor.fill_(SPOILT)
    model.config.save_pretrained(tmp_path / "in")
    torch.save(model.state_dict(), tmp_path / "in" / "pytorch_model.bin")
    initctl.apply(tmp_path / "in", tmp_path / "out", preset="auto", seed=1, require_all=True)
    result = torch.load(tmp_path / "out" / "pytorch_model.bin")
    compare({key: tensor.numpy() for key, tensor in result.items()}, states)
    assert len({tensor.data_ptr() for tensor in result.values()}) < len(result)


@pytest.mark.parametrize(
    ("model", "tensor", "law"),
    [
        ("t5: T5Model", "encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight", Normal(0, 0.8 / 8)),
        ("clip-hf: CLIPModel", "vision_model.embeddings.class_embedding", Normal(0, 1.5 / 72**0.5)),
        ("gemma3: Gemma3Model", "vision_tower.encoder.layers.0.mlp.fc1.bias", Normal(0, 1e-6)),
        ("gemma3: Gemma3Model", "vision_tower.head.mlp.fc2.bias", Normal(0, 1e-6)),
        ("gpt_oss: GptOssModel", "layers.0.self_attn.sinks", Normal(0, 0.03)),
        ("gpt_oss: GptOssModel", "layers.0.mlp.router.bias", Normal(0, 0.03)),
        ("resnet-hf: ResNetForImageClassification", "classifier.1.bias", Uniform(-1 / 8, 1 / 8)),
        ("qwen3_next: Qwen3NextModel", "layers.0.linear_attn.A_log", UniformLog(0.01, 16)),
        ("siglip: SiglipVisionModel", "head.mlp.fc2.bias", Normal(0, 1e-6)),
        ("llama4: Llama4VisionModel", "class_embedding", Normal(0, 1 / 8)),
        ("dinov2: Dinov2Model", "embeddings.cls_token", Normal(0, 0.03)),
        ("wav2vec2: Wav2Vec2Model", "masked_spec_embed", Uniform(0, 1)),
        ("wav2vec2: Wav2Vec2ForPreTraining", "project_q.bias", Uniform(-(32**-0.5), 32**-0.5)),
        (
            "wav2vec2: Wav2Vec2Model",
            "encoder.pos_conv_embed.conv.parametrizations.weight.original0",
            Normal((64 * 16 / (3 * 256)) ** 0.5, 3840**-0.5),
        ),
        (
            "modernbert: ModernBertModel",
            "layers.0.attn.Wo.weight",
            TruncNormal(0, 0.03 / 6**0.5, -1.7 * 0.03 / 6**0.5, 1.7 * 0.03 / 6**0.5),
        ),
    ],
)
def test_the_numbers_of_tensors_too_small_for_statistics_are_those_of_the_formula(
    tmp_path: Path, model: str, tensor: str, law: Normal | Uniform | TruncNormal | UniformLog
):
    plan = initctl.plan(saved(MODELS[model], tmp_path)["hub"].folder, preset="auto")
    (action,) = (action for action in plan.actions if action.tensor.name == tensor)
    assert type(action.law) is type(law)
    assert astuple(action.law) == pytest.approx(astuple(law))


def test_without_config_json_the_number_of_layers_comes_from_the_names(tmp_path: Path):
    checkpoint = saved(MODELS["gpt2: GPT2LMHeadModel"], tmp_path)["hub"]
    (checkpoint.folder / "config.json").unlink()
    plan = initctl.plan(checkpoint.folder, preset="gpt2")
    stds = {action.params["std"] for action in plan.actions if action.tensor.name.endswith("c_proj.weight")}
    assert stds == {0.02 / 6**0.5}


def test_of_one_shard_of_several_config_json_tells_the_number_of_layers(tmp_path: Path):
    checkpoint = saved(MODELS["gpt2: GPT2LMHeadModel"], tmp_path)["hub"]
    config = checkpoint.folder / "config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "n_layer": 48}))
    plan = initctl.plan(checkpoint.folder, preset="gpt2")
    stds = {action.params["std"] for action in plan.actions if action.tensor.name.endswith("c_proj.weight")}
    assert stds == {0.03 / 96**0.5}


def test_where_a_width_cannot_be_known_it_is_not_guessed(tmp_path: Path):
    checkpoint = saved(MODELS["t5: T5EncoderModel"], tmp_path)["hub"]
    (checkpoint.folder / "config.json").unlink()
    with pytest.raises(
        initctl.FitError,
        match=r"no config.json beside the checkpoint; write a recipe with extends = .preset:t5. .*, d_kv = …",
    ):
        initctl.plan(checkpoint.folder, preset="t5")


@pytest.mark.parametrize(
    ("model", "ending"), [("mamba: MambaModel", "dt_proj.bias"), ("mamba2: Mamba2Model", "dt_bias")]
)
def test_time_steps_of_mamba_lie_between_a_floor_and_the_most_that_config_json_tells(
    model: str, ending: str, tmp_path: Path
):
    checkpoint = saved(MODELS[model], tmp_path)["hub"]
    config = checkpoint.folder / "config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "time_step_floor": 0.02}))
    initctl.apply(checkpoint.folder, tmp_path / "out", preset="auto")
    biases = [tensor for name, tensor in load_file(tmp_path / "out" / FILE).items() if name.endswith(ending)]
    steps = np.logaddexp(0, np.concatenate(biases).astype(float))
    assert steps.min() == pytest.approx(0.02, rel=1e-5)
    assert 0.15 < steps.max() <= 0.2
