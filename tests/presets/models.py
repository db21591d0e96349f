"""Small models of the families that presets are for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.presets.decoders import decoders
from tests.presets.encoders import encoders
from tests.presets.model import GROUPED, HEADS, PADDED, RANGE, SIZES, Model, several
from tests.presets.multimodal import multimodal
from tests.presets.speech import speech
from tests.presets.vision import VISION, vision

if TYPE_CHECKING:
    from collections.abc import Iterator

GPT2 = {
    "vocab_size": 384, "n_positions": 128, "n_embd": 64, "n_layer": 3, "n_head": 4, "initializer_range": RANGE,
    "num_labels": 48, "bos_token_id": 1, "eos_token_id": 2,
}  # fmt: skip
T5 = {
    "vocab_size": 384, "d_model": 64, "d_kv": 24, "d_ff": 96, "num_layers": 2, "num_heads": 4,
    "initializer_factor": 0.8, "num_labels": 48,
}  # fmt: skip
CLIP_TEXT = {**SIZES, "projection_dim": 40, "initializer_factor": 1.5}
CLIP_VISION = {**VISION, "projection_dim": 40, "initializer_range": RANGE, "initializer_factor": 1.5, "num_labels": 48}
WHISPER = {
    "vocab_size": 384, "d_model": 64, "encoder_layers": 2, "decoder_layers": 2, "encoder_attention_heads": 4,
    "decoder_attention_heads": 4, "encoder_ffn_dim": 96, "decoder_ffn_dim": 96, "num_mel_bins": 20,
    "max_source_positions": 50, "max_target_positions": 60, "init_std": RANGE, "num_labels": 48, "bos_token_id": 1,
    "eos_token_id": 2, "pad_token_id": 5, "decoder_start_token_id": 3, "begin_suppress_tokens": None,
}  # fmt: skip
MAMBA = {
    "vocab_size": 384, "hidden_size": 64, "num_hidden_layers": 3, "state_size": 8, "initializer_range": RANGE,
    "time_step_min": 0.002, "time_step_max": 0.2, "time_step_floor": 1e-3,
}  # fmt: skip
MAMBA2 = {**MAMBA, "expand": 2, "head_dim": 4, "num_heads": 32, "n_groups": 2}
MOE = {**PADDED, "moe_intermediate_size": 40}
DEEPSEEK = {
    **MOE, "num_key_value_heads": 8, "n_routed_experts": 4, "n_group": 1, "topk_group": 1, "num_experts_per_tok": 2,
    "q_lora_rank": 48, "kv_lora_rank": 40, "qk_rope_head_dim": 8, "qk_nope_head_dim": 8, "v_head_dim": 8,
    "first_k_dense_replace": 1,
}  # fmt: skip
RESNET = {"embedding_size": 16, "hidden_sizes": [32, 64], "depths": [2, 2], "num_labels": 96}
BERT = {**SIZES, "pad_token_id": 5}


def models() -> Iterator[Model]:
    """All that presets are proven with."""
    yield from several("gpt2", "GPT2", "LMHeadModel DoubleHeadsModel ForSequenceClassification ForTokenClassification "
                        "ForQuestionAnswering", **GPT2)  # fmt: skip
    crossed = {**GPT2, "add_cross_attention": True, "tie_word_embeddings": False}
    yield Model("gpt2", "GPT2LMHeadModel", "GPT2Config", crossed, "untied, with cross-attention")
    yield from several("gpt_neox", "GPTNeoX", f"Model {HEADS}", **SIZES)
    yield from _llamas()
    yield from several("qwen2", "Qwen2", f"Model {HEADS}", **PADDED)
    yield from several("qwen3", "Qwen3", f"Model {HEADS}", **PADDED, head_dim=16)
    gemma = {**PADDED, "head_dim": 16}
    yield from several("gemma2", "Gemma", "ForCausalLM ForTokenClassification", **gemma)
    yield from several("gemma2", "Gemma2", "Model ForCausalLM ForSequenceClassification", **gemma)
    yield from several("gemma2", "VaultGemma", "ForCausalLM", **gemma)
    yield Model("gemma2", "Gemma2ForCausalLM", "Gemma2Config", {**gemma, "tie_word_embeddings": False}, "untied")
    yield from _gemma3s(gemma)
    yield from _paligemmas(gemma)
    yield from _berts()
    yield from several("t5", "T5", "Model ForConditionalGeneration EncoderModel ForSequenceClassification "
                        "ForTokenClassification ForQuestionAnswering", **T5)  # fmt: skip
    gated = {**T5, "feed_forward_proj": "gated-gelu", "tie_word_embeddings": False}
    yield Model("t5", "T5ForConditionalGeneration", "T5Config", gated, "1.1")
    yield Model("t5", "MT5ForConditionalGeneration", "MT5Config", gated)
    yield from _like_t5()
    vit = {**VISION, "initializer_range": RANGE, "num_labels": 48, "encoder_stride": 8}
    yield from several("vit", "ViT", "Model ForImageClassification ForMaskedImageModeling", **vit)
    yield from several("vit", "IJepa", "ForImageClassification", **vit)
    yield from _clips()
    yield from several("whisper", "Whisper", "Model ForConditionalGeneration ForCausalLM", **WHISPER)
    weighted = {**WHISPER, "use_weighted_layer_sum": True, "classifier_proj_size": 56}
    yield Model("whisper", "WhisperForAudioClassification", "WhisperConfig", weighted)
    yield from several("mamba", "Mamba", "Model ForCausalLM", **MAMBA)
    rescaled = {**MAMBA, "rescale_prenorm_residual": True, "use_bias": True, "tie_word_embeddings": False}
    yield Model("mamba", "MambaForCausalLM", "MambaConfig", rescaled, "rescaled, biased, untied")
    constant = {**MAMBA, "time_step_init_scheme": "constant", "time_step_scale": 0.5}
    yield Model("mamba", "MambaForCausalLM", "MambaConfig", constant, "constant time steps")
    yield from several("mamba", "FalconMamba", "ForCausalLM", **{**MAMBA, "use_bias": True})
    yield from several("mamba2", "Mamba2", "Model ForCausalLM", **MAMBA2)
    yield Model("mamba2", "Mamba2ForCausalLM", "Mamba2Config", {**MAMBA2, "rescale_prenorm_residual": True}, "rescaled")
    yield from several("mixtral", "Mixtral", f"Model {HEADS}", **PADDED, num_local_experts=4)
    yield from several("mixtral", "Phimoe", "ForCausalLM", **PADDED, num_local_experts=4)
    yield from several("mixtral", "MiniMaxM2", "ForCausalLM", **PADDED, num_local_experts=4, head_dim=16)
    sparse = {**MOE, "num_experts": 4, "head_dim": 16, "mlp_only_layers": [1]}
    yield from several("qwen3_moe", "Qwen3Moe", f"Model {HEADS}", **sparse)
    yield from several("qwen3_moe", "Qwen2Moe", "ForCausalLM", **MOE, num_experts=4, shared_expert_intermediate_size=56)
    yield from several("qwen3_moe", "Olmoe", "ForCausalLM", **PADDED, num_experts=4)
    yield from several("qwen3_moe", "FlexOlmo", "ForCausalLM", **PADDED, num_experts=4)
    routed = {**MOE, "num_experts": 4, "moe_num_experts": 4, "moe_k": 2, "n_routed_experts": 4, "head_dim": 16}
    for stem in ("Ernie4_5_Moe", "ExaoneMoe", "Cohere2Moe", "Mellum", "SolarOpen"):
        yield from several("qwen3_moe", stem, "ForCausalLM", **routed, num_experts_per_tok=2)
    yield from several("qwen3_moe", "Glm4Moe", "ForCausalLM", **{**DEEPSEEK, "num_key_value_heads": 4})
    yield from several("deepseek_v3", "DeepseekV3", "Model ForCausalLM ForSequenceClassification", **DEEPSEEK)
    for stem in ("DeepseekV2", "Glm4MoeLite", "MiniCPM3", "AXK1", "Mistral4"):
        yield from several("deepseek_v3", stem, "ForCausalLM", **DEEPSEEK)
    indexed = {**DEEPSEEK, "index_n_heads": 4, "index_head_dim": 16}
    yield from several("deepseek_v3", "DeepseekV32", "ForCausalLM", **indexed)
    yield from several("deepseek_v3", "GlmMoeDsa", "ForCausalLM", **indexed)
    whole = {**DEEPSEEK, "q_lora_rank": None, "attention_bias": True}
    yield Model("deepseek_v3", "DeepseekV3ForCausalLM", "DeepseekV3Config", whole, "whole queries, biased")
    oss = {**PADDED, "num_attention_heads": 16, "num_local_experts": 16, "head_dim": 8}
    yield from several("gpt_oss", "GptOss", "Model ForCausalLM ForSequenceClassification", **oss)
    yield from several("resnet-hf", "ResNet", "Model ForImageClassification Backbone", **RESNET)
    yield Model("resnet-hf", "ResNetForImageClassification", "ResNetConfig", {**RESNET, "layer_type": "basic"}, "basic")
    yield from encoders()
    yield from decoders()
    yield from multimodal()
    yield from vision()
    yield from speech()


def _llamas() -> Iterator[Model]:
    yield from several("llama", "Llama", f"Model {HEADS}", **PADDED)
    biased = {**GROUPED, "attention_bias": True, "mlp_bias": True}
    yield Model("llama", "LlamaForCausalLM", "LlamaConfig", biased, "biased, no padding")
    yield Model("llama", "LlamaForCausalLM", "LlamaConfig", {**PADDED, "tie_word_embeddings": True}, "tied")
    yield from several("llama", "Mistral", HEADS, **PADDED)
    yield from several("llama", "Phi3", "ForCausalLM ForSequenceClassification ForTokenClassification", **PADDED)
    alike = (
        "Ministral SmolLM3 Granite Olmo Olmo2 Olmo3 Starcoder2 StableLm Cohere Cohere2 Glm Glm4 Exaone4 Helium Arcee "
        "SeedOss HunYuanDenseV1 Ernie4_5 Ministral3 Nemotron BitNet Cwm Jais2"
    )
    for stem in alike.split():
        yield from several("llama", stem, "ForCausalLM", **PADDED, head_dim=16)
    for stem in ("InternLM3", "IQuestCoder"):  # which transformers builds as Llama
        yield Model("llama", "LlamaForCausalLM", f"{stem}Config", {**PADDED, "head_dim": 16}, stem)


def _gemma3s(text: dict[str, Any]) -> Iterator[Model]:
    yield from several("gemma3", "Gemma3", "ForCausalLM", "Gemma3TextConfig", **text)
    yield Model("gemma3", "Gemma3ForCausalLM", "Gemma3TextConfig", {**text, "attention_bias": True}, "biased")
    yield from several("gemma3", "Gemma3Text", "Model ForSequenceClassification", **text)
    yield from several(
        "gemma3", "Gemma3", "Model ForConditionalGeneration ForSequenceClassification",
        text_config=Model("", "", "Gemma3TextConfig", text), num_labels=48, initializer_range=0.04,
        vision_config=Model("", "", "SiglipVisionConfig", VISION), mm_tokens_per_image=4,
    )  # fmt: skip


def _paligemmas(text: dict[str, Any]) -> Iterator[Model]:
    read = Model("", "", "GemmaConfig", {key: text[key] for key in text if key != "num_labels"})
    seen = Model("", "", "SiglipVisionConfig", VISION)
    both = {"text_config": read, "vision_config": seen, "projection_dim": 64, "image_token_index": 10}
    yield from several("gemma3", "PaliGemma", "ForConditionalGeneration", **both)


def _like_t5() -> Iterator[Model]:
    yield from several("t5", "UMT5", "Model ForTokenClassification ForQuestionAnswering", **T5)
    for attention in ("local", "transient-global"):
        settings = {**T5, "encoder_attention_type": attention}
        yield Model("t5", "LongT5ForConditionalGeneration", "LongT5Config", settings, attention)
    experts = {**T5, "num_experts": 3, "num_sparse_encoder_layers": 1, "num_sparse_decoder_layers": 1}
    yield from several("t5", "SwitchTransformers", "ForConditionalGeneration", **experts)
    yield from several("t5", "Udop", "ForConditionalGeneration EncoderModel", **T5, image_size=32, patch_size=8)


def _berts() -> Iterator[Model]:
    yield from several("bert", "Bert", "Model ForPreTraining ForMaskedLM ForNextSentencePrediction ForMultipleChoice "
                        "ForSequenceClassification ForTokenClassification ForQuestionAnswering", **BERT)  # fmt: skip
    untied = {**BERT, "tie_word_embeddings": False}
    yield Model("bert", "BertForMaskedLM", "BertConfig", untied, "untied")
    crossed = {**BERT, "is_decoder": True, "add_cross_attention": True}
    yield Model("bert", "BertLMHeadModel", "BertConfig", crossed, "with cross-attention")
    yield from several("roberta", "Roberta", "Model ForMaskedLM ForCausalLM ForMultipleChoice "
                        "ForSequenceClassification ForTokenClassification ForQuestionAnswering", **BERT)  # fmt: skip
    yield Model("roberta", "RobertaForMaskedLM", "RobertaConfig", untied, "untied")
    yield from several("roberta", "XLMRoberta", "ForMaskedLM", **BERT)
    yield from several("roberta", "Camembert", "ForMaskedLM", **BERT)
    yield from several("roberta", "RobertaPreLayerNorm", "ForMaskedLM", **BERT)
    yield from several("roberta", "Data2VecText", "ForMaskedLM", **BERT)
    yield from several("bert", "Ernie", "ForMaskedLM ForSequenceClassification", **BERT)


def _clips() -> Iterator[Model]:
    both = {
        "text_config": Model("", "", "CLIPTextConfig", CLIP_TEXT),
        "vision_config": Model("", "", "CLIPVisionConfig", CLIP_VISION),
        "projection_dim": 40, "initializer_factor": 1.5, "logit_scale_init_value": 2.5, "num_labels": 48,
    }  # fmt: skip
    yield from several("clip-hf", "CLIP", "Model ForImageClassification", **both)
    yield from several("clip-hf", "CLIPText", "Model ModelWithProjection", **CLIP_TEXT)
    yield from several("clip-hf", "CLIPVision", "Model ModelWithProjection", **CLIP_VISION)
