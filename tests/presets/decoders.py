"""Small models of decoders, and of encoders with decoders, of text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.presets.model import HEADS, PADDED, RANGE, SIZES, Model, several

if TYPE_CHECKING:
    from collections.abc import Iterator

UNTIED = {"tie_word_embeddings": False}
BART = {
    "vocab_size": 384, "d_model": 64, "encoder_layers": 2, "decoder_layers": 2, "encoder_attention_heads": 4,
    "decoder_attention_heads": 4, "encoder_ffn_dim": 96, "decoder_ffn_dim": 96, "max_position_embeddings": 100,
    "init_std": RANGE, "num_labels": 48, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 5,
    "decoder_start_token_id": 3, "forced_eos_token_id": 2,
}  # fmt: skip
OPT = {
    "vocab_size": 384, "hidden_size": 64, "num_hidden_layers": 2, "ffn_dim": 96, "max_position_embeddings": 100,
    "word_embed_proj_dim": 48, "num_attention_heads": 4, "init_std": RANGE, "pad_token_id": 5, "num_labels": 48,
    "bos_token_id": 1, "eos_token_id": 2,
}  # fmt: skip
BLOOM = {
    "vocab_size": 384, "hidden_size": 64, "n_layer": 2, "n_head": 8, "initializer_range": RANGE, "pad_token_id": 5,
    "num_labels": 48,
}  # fmt: skip
GEMMA3N = {
    **PADDED, "head_dim": 16, "num_hidden_layers": 3, "vocab_size_per_layer_input": 200,
    "hidden_size_per_layer_input": 24, "laurel_rank": 16, "altup_num_inputs": 3, "num_kv_shared_layers": 1,
    "layer_types": ["sliding_attention", "full_attention", "full_attention"],
}  # fmt: skip
QWEN3_NEXT = {
    **PADDED, "head_dim": 16, "layer_types": ["linear_attention", "full_attention"], "moe_intermediate_size": 40,
    "shared_expert_intermediate_size": 56, "num_experts": 4, "num_experts_per_tok": 2, "linear_num_key_heads": 4,
    "linear_num_value_heads": 64, "linear_key_head_dim": 16, "linear_value_head_dim": 4, "mlp_only_layers": [1],
}  # fmt: skip
GPTJ = {
    "vocab_size": 384, "n_positions": 100, "n_embd": 64, "n_layer": 2, "n_head": 4, "initializer_range": RANGE,
    "num_labels": 48, "bos_token_id": 1, "eos_token_id": 2,
}  # fmt: skip
GPT_NEO = {
    "vocab_size": 384, "hidden_size": 64, "num_layers": 2, "num_heads": 4, "max_position_embeddings": 100,
    "window_size": 8, "attention_types": [[["global", "local"], 1]], "initializer_range": RANGE, "num_labels": 48,
    "bos_token_id": 1, "eos_token_id": 2,
}  # fmt: skip
MPT = {
    "vocab_size": 384, "d_model": 64, "n_heads": 4, "n_layers": 2, "expansion_ratio": 2, "max_seq_len": 64,
    "initializer_range": RANGE, "num_labels": 48,
}  # fmt: skip


def decoders() -> Iterator[Model]:
    yield from _barts()
    yield from several("opt", "OPT", "Model ForCausalLM ForSequenceClassification ForQuestionAnswering", **OPT)
    yield from several("bloom", "Bloom", f"Model {HEADS}", **BLOOM)
    falcon = {**SIZES, "pad_token_id": 5}
    yield from several("falcon", "Falcon", f"Model {HEADS}", **falcon)
    large = {**falcon, "new_decoder_architecture": True, "num_kv_heads": 2, "bias": True, "tie_word_embeddings": False}
    yield Model("falcon", "FalconForCausalLM", "FalconConfig", large, "40B, untied")
    phi = {**PADDED, "qk_layernorm": True}
    yield from several("phi", "Phi", "Model ForCausalLM ForSequenceClassification ForTokenClassification", **phi)
    yield from several("gemma3n", "Gemma3n", "ForCausalLM", "Gemma3nTextConfig", **GEMMA3N)
    untied = {**GEMMA3N, "tie_word_embeddings": False, "attention_bias": True}
    yield Model("gemma3n", "Gemma3nForCausalLM", "Gemma3nTextConfig", untied, "untied, biased")
    yield from several("gemma3n", "Gemma3nText", "Model", **GEMMA3N)
    yield from several("qwen3_next", "Qwen3Next", f"Model {HEADS}", **QWEN3_NEXT)
    yield from several("gptj", "GPTJ", "ForCausalLM ForSequenceClassification ForQuestionAnswering", **GPTJ)
    yield from several("gptj", "GPTNeo", f"Model {HEADS}", **GPT_NEO)
    yield from several("gptj", "CodeGen", "ForCausalLM", **GPTJ, n_ctx=100)
    yield from several("gpt2", "GPTBigCode", "ForCausalLM ForSequenceClassification ForTokenClassification", **GPTJ)
    hybrid = {**PADDED, "block_auto_adjust_ff_dim": False, "layer_types": ["conv", "full_attention"]}
    yield from several("lfm2", "Lfm2", "Model ForCausalLM", **hybrid)
    yield Model("lfm2", "Lfm2ForCausalLM", "Lfm2Config", {**hybrid, "conv_bias": True, **UNTIED}, "biased, untied")
    yield from several("mpt", "Mpt", f"Model {HEADS}", **MPT)


def _barts() -> Iterator[Model]:
    yield from several("bart", "Bart", "Model ForConditionalGeneration ForCausalLM ForSequenceClassification "
                       "ForQuestionAnswering", **BART)  # fmt: skip
    yield from several("bart", "MBart", "ForConditionalGeneration ForSequenceClassification", **BART)
    for stem in ("Mvp", "Blenderbot", "BlenderbotSmall"):
        yield from several("bart", stem, "ForConditionalGeneration", **BART)
    yield from several("bart", "PLBart", "ForConditionalGeneration ForCausalLM", **BART)
