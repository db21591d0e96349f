"""Small models of images."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.presets.model import RANGE, SIZES, Model, several

if TYPE_CHECKING:
    from collections.abc import Iterator

VISION: dict[str, Any] = {
    "hidden_size": 72, "intermediate_size": 96, "num_hidden_layers": 3, "num_attention_heads": 4, "image_size": 64,
    "patch_size": 8,
}  # fmt: skip
DINOV2 = {
    "hidden_size": 72, "num_hidden_layers": 3, "num_attention_heads": 4, "image_size": 56, "patch_size": 8,
    "mlp_ratio": 2, "initializer_range": RANGE, "layerscale_value": 0.3, "num_labels": 48,
}  # fmt: skip
DINOV3 = {
    **VISION, "num_attention_heads": 6, "initializer_range": RANGE, "layerscale_value": 0.3, "num_register_tokens": 40,
}  # fmt: skip
DINOV3_CONVNEXT = {
    "hidden_sizes": [16, 32, 48, 64], "depths": [1, 1, 2, 1], "initializer_range": RANGE,
    "layer_scale_init_value": 0.02,
}  # fmt: skip
CONVNEXT = {**DINOV3_CONVNEXT, "num_labels": 48}
SWIN = {
    "image_size": 32, "patch_size": 4, "embed_dim": 16, "depths": [2, 2], "num_heads": [2, 4], "window_size": 4,
    "initializer_range": RANGE, "num_labels": 48, "use_absolute_embeddings": True,
}  # fmt: skip
SEGFORMER = {
    "hidden_sizes": [16, 24, 32, 48], "depths": [1, 1, 1, 1], "num_attention_heads": [1, 2, 4, 4],
    "sr_ratios": [4, 2, 2, 1], "decoder_hidden_size": 32, "initializer_range": RANGE, "num_labels": 48,
}  # fmt: skip


def vision() -> Iterator[Model]:
    yield from _siglips("Siglip", VISION)
    yield from _siglips("Siglip2", {**{key: VISION[key] for key in VISION if key != "image_size"}, "num_patches": 64})
    yield from several("dinov2", "Dinov2", "Model ForImageClassification Backbone", **DINOV2)
    yield Model("dinov2", "Dinov2Model", "Dinov2Config", {**DINOV2, "use_swiglu_ffn": True}, "gated")
    yield from several("dinov2", "Dinov2WithRegisters", "Model ForImageClassification", **DINOV2)
    yield from several("dinov3", "DINOv3ViT", "Model Backbone", **DINOV3)
    yield Model("dinov3", "DINOv3ViTModel", "DINOv3ViTConfig", {**DINOV3, "use_gated_mlp": True}, "gated")
    yield from several("dinov3", "DINOv3ConvNext", "Model Backbone", **DINOV3_CONVNEXT)
    yield from several("convnext-hf", "ConvNext", "Model ForImageClassification Backbone", **CONVNEXT)
    yield from several("convnext-hf", "ConvNextV2", "ForImageClassification", **CONVNEXT)
    yield from several("swin", "Swin", "Model ForImageClassification ForMaskedImageModeling Backbone", **SWIN)
    beit = {
        **VISION, "initializer_range": RANGE, "num_labels": 48, "vocab_size": 96, "use_relative_position_bias": True,
        "layer_scale_init_value": 0.3, "use_mask_token": True, "use_absolute_position_embeddings": True,
    }  # fmt: skip
    yield from several("beit", "Beit", "ForImageClassification ForMaskedImageModeling", **beit)
    yield from several("segformer", "Segformer", "ForSemanticSegmentation ForImageClassification", **SEGFORMER)
    deit = {**VISION, "initializer_range": RANGE, "num_labels": 48, "encoder_stride": 8}
    yield from several("deit", "DeiT", "Model ForImageClassification ForMaskedImageModeling "
                       "ForImageClassificationWithTeacher", **deit)  # fmt: skip


def _siglips(stem: str, seen: dict[str, Any]) -> Iterator[Model]:
    read = {key: SIZES[key] for key in SIZES if key not in ("initializer_range", "num_labels")}
    read |= {"max_position_embeddings": 32, "pad_token_id": 5, "projection_size": 40}
    both = {
        "text_config": Model("", "", f"{stem}TextConfig", read),
        "vision_config": Model("", "", f"{stem}VisionConfig", seen), "initializer_factor": 0.7, "num_labels": 48,
    }  # fmt: skip
    yield from several("siglip", stem, "Model ForImageClassification", **both)
    yield from several("siglip", f"{stem}Text", "Model", **read)
    yield from several("siglip", f"{stem}Vision", "Model", **seen)
