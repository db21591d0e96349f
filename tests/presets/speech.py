"""Small models of speech."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.presets.model import RANGE, Model, several

if TYPE_CHECKING:
    from collections.abc import Iterator

SIZES: dict[str, Any] = {
    "vocab_size": 64, "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 96,
    "initializer_range": RANGE, "conv_dim": [32, 48], "conv_stride": [5, 2], "conv_kernel": [10, 3],
    "conv_bias": True, "num_conv_pos_embeddings": 16, "num_conv_pos_embedding_groups": 4,
    "use_weighted_layer_sum": True, "classifier_proj_size": 56, "num_labels": 48,
}  # fmt: skip
WAV2VEC2 = {
    **SIZES, "num_codevectors_per_group": 20, "codevector_dim": 32, "proj_codevector_dim": 40, "tdnn_dim": [64, 64],
    "tdnn_kernel": [5, 3], "tdnn_dilation": [1, 2], "xvector_output_dim": 48,
}  # fmt: skip
LARGE = {"feat_extract_norm": "layer", "do_stable_layer_norm": True, "conv_bias": False}
ADAPTED = {"add_adapter": True, "output_hidden_size": 72, "num_adapter_layers": 2}


def speech() -> Iterator[Model]:
    yield from several("wav2vec2", "Wav2Vec2", "Model ForPreTraining ForCTC ForSequenceClassification "
                       "ForAudioFrameClassification ForXVector", **WAV2VEC2)  # fmt: skip
    adapted = {**WAV2VEC2, **LARGE, **ADAPTED, "adapter_attn_dim": 16}
    yield Model("wav2vec2", "Wav2Vec2ForCTC", "Wav2Vec2Config", adapted, "large, with adapters")
    yield from several("wav2vec2", "Hubert", "Model ForCTC ForSequenceClassification", **SIZES)
    normed = {**SIZES, **LARGE, "conv_pos_batch_norm": True}
    yield Model("wav2vec2", "HubertForCTC", "HubertConfig", normed, "large, with a batch norm")
    yield from several("wav2vec2", "UniSpeech", "ForCTC ForPreTraining", **WAV2VEC2)
    yield from several("wav2vec2", "UniSpeechSat", "ForXVector ForPreTraining", **WAV2VEC2)
    yield from several("wav2vec2", "WavLM", "ForXVector ForSequenceClassification", **WAV2VEC2)
    yield Model("wav2vec2", "WavLMForCTC", "WavLMConfig", {**WAV2VEC2, **LARGE, **ADAPTED}, "large, with an adapter")
