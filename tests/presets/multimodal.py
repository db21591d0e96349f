"""Small models of text with images or sounds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.presets.decoders import QWEN3_NEXT
from tests.presets.model import PADDED, Model, several
from tests.presets.vision import VISION

if TYPE_CHECKING:
    from collections.abc import Iterator

TEXT: dict[str, Any] = {key: value for key, value in PADDED.items() if key != "num_labels"}
TOKENS = {"image_token_id": 10, "video_token_id": 11, "vision_start_token_id": 12, "vision_end_token_id": 13}
SEEN = 0.04
"""The `initializer_range` of vision models."""
HEARD = 0.05
"""That of audio models."""
ROTATED = {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [1, 1, 2]}
QWEN2 = {**TEXT, "rope_parameters": ROTATED}
QWEN3 = {**TEXT, "head_dim": 16, "rope_parameters": {**ROTATED, "mrope_section": [2, 3, 3]}}
QWEN2_VISION = {
    "depth": 2, "embed_dim": 64, "hidden_size": 64, "mlp_ratio": 2, "num_heads": 4, "patch_size": 8,
    "initializer_range": SEEN,
}  # fmt: skip
QWEN_VISION = {
    "depth": 2, "hidden_size": 64, "intermediate_size": 96, "num_heads": 4, "patch_size": 8, "out_hidden_size": 64,
    "initializer_range": SEEN,
}  # fmt: skip
QWEN35_VISION = {**QWEN_VISION, "num_position_embeddings": 64}
QWEN3_VISION = {**QWEN_VISION, "num_position_embeddings": 64, "deepstack_visual_indexes": [0, 1]}
QWEN35 = {
    **{key: QWEN3_NEXT[key] for key in QWEN3_NEXT if key not in ("num_labels", "mlp_only_layers")},
    "rope_parameters": {**ROTATED, "mrope_section": [1, 0, 1], "partial_rotary_factor": 0.25},
}  # fmt: skip
LLAMA4 = {
    **TEXT, "head_dim": 16, "intermediate_size_mlp": 112, "num_local_experts": 4, "interleave_moe_layer_step": 2,
}  # fmt: skip
LLAMA4_VISION = {
    "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 256,
    "vision_output_dim": 80, "image_size": 64, "patch_size": 8, "projector_input_dim": 80, "projector_output_dim": 80,
    "initializer_range": SEEN,
}  # fmt: skip
SEEING = {**VISION, "initializer_range": SEEN}
GEMMA4 = {
    **TEXT, "head_dim": 16, "vocab_size_per_layer_input": 200, "hidden_size_per_layer_input": 24,
    "layer_types": ["sliding_attention", "full_attention"],
}  # fmt: skip
GEMMA4_VISION = {
    "hidden_size": 72, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "head_dim": 18, "patch_size": 8, "position_embedding_size": 60, "standardize": True,
    "initializer_range": SEEN,
}  # fmt: skip
GEMMA4_AUDIO = {
    "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "subsampling_conv_channels": [16, 8],
    "output_proj_dims": 80, "initializer_range": HEARD, "use_clipped_linears": False,
}  # fmt: skip


def multimodal() -> Iterator[Model]:
    yield from _qwens()
    yield from _qwen35s()
    both = _parts("Llama4", text=LLAMA4, vision=LLAMA4_VISION)
    yield from several("llama4", "Llama4", "ForConditionalGeneration", **both)
    yield from several("llama4", "Llama4", "ForCausalLM", "Llama4TextConfig", **LLAMA4)
    tied = {**LLAMA4, "tie_word_embeddings": True}
    yield Model("llama4", "Llama4ForCausalLM", "Llama4TextConfig", tied, "tied")
    yield from several("llama4", "Llama4Vision", "Model", **LLAMA4_VISION)
    yield from _gemma4s()
    yield from _others()


def _qwens() -> Iterator[Model]:
    for preset, stem, text, vision in (
        ("qwen2_vl", "Qwen2VL", QWEN2, QWEN2_VISION),
        ("qwen2_vl", "Qwen2_5_VL", QWEN2, QWEN_VISION),
        ("qwen3_vl", "Qwen3VL", QWEN3, QWEN3_VISION),
        ("qwen3_vl", "Qwen3VLMoe", {**QWEN3, "moe_intermediate_size": 40, "num_experts": 4}, QWEN3_VISION),
    ):
        both = {**_parts(stem, text=text, vision=vision), **TOKENS}
        yield from several(preset, stem, "Model ForConditionalGeneration", **both)
        yield from several(preset, f"{stem}Text", "Model", **text)


def _qwen35s() -> Iterator[Model]:
    for stem in ("Qwen3_5", "Qwen3_5Moe"):
        both = {**_parts(stem, text=QWEN35, vision=QWEN35_VISION), **TOKENS}
        yield from several("qwen3_next", stem, "ForConditionalGeneration", **both)
        yield from several("qwen3_next", stem, "ForCausalLM", f"{stem}TextConfig", **QWEN35)


def _gemma4s() -> Iterator[Model]:
    parts = _parts("Gemma4", text=GEMMA4, vision=GEMMA4_VISION, audio=GEMMA4_AUDIO)
    yield from several("gemma4", "Gemma4", "Model ForConditionalGeneration", **parts, initializer_range=0.06)
    yield from several("gemma4", "Gemma4", "ForCausalLM", "Gemma4TextConfig", **GEMMA4)
    experts = {
        **GEMMA4, "hidden_size_per_layer_input": 0, "enable_moe_block": True, "num_experts": 4, "top_k_experts": 2,
        "moe_intermediate_size": 40, "attention_bias": True, "tie_word_embeddings": False,
    }  # fmt: skip
    yield Model("gemma4", "Gemma4ForCausalLM", "Gemma4TextConfig", experts, "experts, biased, untied")
    yield from several("gemma4", "Gemma4Vision", "Model", **GEMMA4_VISION)
    yield from several("gemma4", "Gemma4Audio", "Model", **GEMMA4_AUDIO)


def _others() -> Iterator[Model]:
    pixtral = {**SEEING, "hidden_size": 64, "image_size": 32}
    llama, mistral = Model("", "", "LlamaConfig", TEXT), Model("", "", "MistralConfig", TEXT)
    seen = Model("", "", "PixtralVisionConfig", pixtral)
    both = {"text_config": mistral, "vision_config": seen, "image_token_index": 10}
    yield from several("mistral3", "Mistral3", "Model ForConditionalGeneration", **both)
    yield from several("mistral3", "PixtralVision", "Model", **pixtral)
    clip = {**SEEING, "initializer_factor": 1.5}
    both = {"text_config": llama, "vision_config": Model("", "", "CLIPVisionConfig", clip), "image_token_index": 10}
    yield from several("llava", "Llava", "Model ForConditionalGeneration", **both)
    yield from several("llava", "LlavaNext", "ForConditionalGeneration", **both)
    for stem in ("SmolVLM", "Idefics3"):
        both = {"text_config": llama, "vision_config": Model("", "", f"{stem}VisionConfig", SEEING)}
        yield from several("smolvlm", stem, "ForConditionalGeneration", **both, image_token_id=10)


def _parts(stem: str, **parts: dict[str, Any]) -> dict[str, Model]:
    """The configurations of the parts of a model, such as `text`."""
    return {
        f"{part}_config": Model("", "", f"{stem}{part.capitalize()}Config", settings)
        for part, settings in parts.items()
    }
