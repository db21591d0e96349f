"""Small models of encoders of text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.presets.model import RANGE, SIZES, Model, several

if TYPE_CHECKING:
    from collections.abc import Iterator

PADDED: dict[str, Any] = {**SIZES, "pad_token_id": 5}
UNTIED = {"tie_word_embeddings": False}
DISTILBERT = {
    "vocab_size": 384, "dim": 64, "hidden_dim": 96, "n_layers": 2, "n_heads": 8, "max_position_embeddings": 128,
    "initializer_range": RANGE, "num_labels": 48, "pad_token_id": 5,
}  # fmt: skip
ELECTRA = {**PADDED, "embedding_size": 48}
DEBERTA = {
    **PADDED, "relative_attention": True, "pos_att_type": ["p2c", "c2p"], "position_buckets": 32,
    "norm_rel_ebd": "layer_norm", "conv_kernel_size": 3, "type_vocab_size": 2, "embedding_size": 48,
}  # fmt: skip
MODERNBERT = {
    **PADDED, "num_hidden_layers": 3, "initializer_cutoff_factor": 1.7, "cls_token_id": 1, "sep_token_id": 2,
    "classifier_bias": True, "mlp_bias": True, "attention_bias": True, "norm_bias": True,
}  # fmt: skip


def encoders() -> Iterator[Model]:
    yield from several("distilbert", "DistilBert", "Model ForMaskedLM ForSequenceClassification "
                       "ForTokenClassification ForMultipleChoice", **DISTILBERT)  # fmt: skip
    yield Model("distilbert", "DistilBertForMaskedLM", "DistilBertConfig", {**DISTILBERT, **UNTIED}, "untied")
    answers = {**DISTILBERT, "num_labels": 2}
    yield Model("distilbert", "DistilBertForQuestionAnswering", "DistilBertConfig", answers)
    yield from several("electra", "Electra", "Model ForPreTraining ForMaskedLM ForCausalLM ForMultipleChoice "
                       "ForSequenceClassification ForTokenClassification ForQuestionAnswering", **ELECTRA)  # fmt: skip
    yield Model("electra", "ElectraForMaskedLM", "ElectraConfig", {**ELECTRA, **UNTIED}, "untied")
    yield from _debertas()
    yield from several("modernbert", "ModernBert", "Model ForMaskedLM ForSequenceClassification "
                       "ForTokenClassification ForQuestionAnswering", **MODERNBERT)  # fmt: skip
    yield Model("modernbert", "ModernBertForMaskedLM", "ModernBertConfig", {**MODERNBERT, **UNTIED}, "untied")
    albert = {**PADDED, "embedding_size": 48, "classifier_dropout_prob": 0.1}
    yield from several("albert", "Albert", "Model ForPreTraining ForMaskedLM ForSequenceClassification "
                       "ForTokenClassification ForQuestionAnswering", **albert)  # fmt: skip
    yield from several("mpnet", "MPNet", "Model ForMaskedLM ForSequenceClassification ForTokenClassification "
                       "ForQuestionAnswering", **PADDED)  # fmt: skip


def _debertas() -> Iterator[Model]:
    yield from several("deberta", "DebertaV2", "Model ForMaskedLM ForMultipleChoice ForSequenceClassification "
                       "ForTokenClassification ForQuestionAnswering", **DEBERTA)  # fmt: skip
    yield Model("deberta", "DebertaV2ForMaskedLM", "DebertaV2Config", {**DEBERTA, "legacy": False}, "with its own head")
    yield Model("deberta", "DebertaV2ForMaskedLM", "DebertaV2Config", {**DEBERTA, **UNTIED}, "untied")
    yield from several("deberta", "Deberta", "ForMaskedLM ForSequenceClassification", **DEBERTA)
