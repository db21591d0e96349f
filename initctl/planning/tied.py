"""Tensors that a model has but its file omits, because another tensor holds the same values: an output layer that is
tied to the embedding, and embeddings that are one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import starmap
from typing import TYPE_CHECKING, NamedTuple

from initctl.errors import InputError

if TYPE_CHECKING:
    from initctl.formats import Checkpoint

OUTPUTS = (
    "lm_head.weight",  # most decoders
    "output.weight",  # Llama's own files, torchtune, GIT
    "output_layer.weight",  # Megatron-core
    "embed_out.weight",  # GPT-NeoX
    "proj_out.weight",  # Whisper
    "output_projection.weight",  # fairseq, BioGPT
    "decoder.output_projection.weight",
    "lm_head.decoder.weight",  # RoBERTa, ESM
    "lm_head.out_proj.weight",
    "cls.predictions.decoder.weight",  # BERT
    "generator_lm_head.weight",  # ELECTRA, ConvBERT
    "vocab_projector.weight",  # DistilBERT
    "pred_layer.proj.weight",  # XLM, FlauBERT
    "lm_loss.weight",  # XLNet
    "head.decoder.weight",
    "mlm_score.decoder.weight",  # BridgeTower
    "decoder.weight",  # ModernBERT
    "head.weight",  # RWKV
)
"""The names of output layers over a vocabulary: `_tied_weights_keys` of transformers 5.24, models/*/."""
EMBEDDINGS = (
    "shared.weight",  # T5, BART
    "decoder.embed_tokens.weight",
    "language_model.embed_tokens.weight",
    "embed_tokens.weight",
    "tok_embeddings.weight",
    "wte.weight",
    "word_embeddings.weight",
    "embed_in.weight",
    "word_embedding.weight",
    "tokens_embed.weight",
    "transformer.embeddings.weight",
    "backbone.embeddings.weight",
    "embeddings.weight",
)
"""The names of embeddings that output layers are tied to, the likeliest first."""
ALWAYS = (
    ("encoder.embed_tokens.weight", "shared.weight"),
    ("decoder.embed_tokens.weight", "shared.weight"),
    ("cls.predictions.decoder.bias", "cls.predictions.bias"),
    ("lm_head.decoder.bias", "lm_head.bias"),
)
"""Tensors that are tied to another if the file omits them, no matter what config.json says."""
BEFORE = ("", "model.", "transformer.", "language_model.", "text_model.", "bert.", "decoder.")
"""Prefixes that these names may have."""
FAMILIES = frozenset((
    "albert", "aya_vision", "bart", "bert", "bert-generation", "big_bird", "bigbird_pegasus", "biogpt",
    "blenderbot", "blenderbot-small", "blip", "blip_text_model", "bloom", "camembert", "canary", "cohere",
    "cohere2", "cohere2_moe", "cohere2_vision", "convbert", "cpmant", "csm", "ctrl", "data2vec-text", "deberta",
    "deberta-v2", "deepseek_vl", "deepseek_vl_hybrid", "distilbert", "electra", "ernie", "ernie4_5", "ernie4_5_moe",
    "ernie4_5_vl_moe", "esm", "falcon", "falcon_mamba", "flaubert", "flava", "florence2", "fnet", "funnel", "gemma",
    "gemma2", "gemma3", "gemma3_text", "gemma3n", "gemma3n_text", "gemma4", "gemma4_text", "glmasr", "got_ocr2",
    "gpt-sw3", "gpt2", "gpt_bigcode", "gpt_neo", "gpt_neox_japanese", "granite_docling", "granite_speech",
    "granite_swa", "gte", "hunyuan_vl", "ibert", "internvl", "janus", "jetmoe", "jina_embeddings_v3", "kosmos-2",
    "kosmos-2.5", "layoutlm", "led", "lfm2", "lfm2_moe", "lfm2_vl", "lighton_ocr", "longformer", "longt5", "luke",
    "lxmert", "m2m_100", "mamba", "marian", "mbart", "megatron-bert", "minicpm3", "mistral3", "mobilebert",
    "modernbert", "modernbert-decoder", "moonshine", "mpnet", "mpt", "mra", "mt5", "mvp", "nllb-moe", "nomic_bert",
    "nystromformer", "openai-gpt", "opt", "ovis2", "paddleocr_vl", "paligemma", "pegasus", "pegasus_x", "plbart",
    "pop2piano", "prophetnet", "recurrent_gemma", "roberta", "roberta-prelayernorm", "roc_bert", "roformer",
    "seamless_m4t", "seamless_m4t_v2", "shieldgemma2", "smollm3", "speech_to_text", "speecht5", "squeezebert",
    "starcoder2", "switch_transformers", "t5", "t5gemma", "t5gemma2", "tapas", "trocr", "udop", "umt5",
    "vaultgemma", "vilt", "visual_bert", "voxtral_realtime", "whisper", "xglm", "xlm", "xlm-roberta",
    "xlm-roberta-xl", "xlnet", "xmod", "yoso", "zamba", "zamba2",
))  # fmt: skip
"""Model types that tie the two by default in transformers 5.24; their config.json omits `tie_word_embeddings`."""


class Tie(NamedTuple):
    """A name that a file omits, and the tensor that it keeps instead; `sure` says whether that is certain."""

    left_out: str
    kept: str
    sure: bool


def ties(checkpoint: Checkpoint) -> list[Tie]:
    """The tensors that `checkpoint` may omit because another holds the same values, the likeliest first."""
    names = [tensor.name for tensor in checkpoint.tensors]
    others = [(left_out, holder) for left_out, kept in ALWAYS if (holder := _ending(kept, names))]
    embedding = next((holder for kept in EMBEDDINGS if (holder := _ending(kept, names))), None)
    is_tied = _is_tied(checkpoint) if embedding or others else False
    found = [(name, kept, is_tied is not False or name not in names) for name, kept in _placed(others)]
    if embedding and is_tied is not False:
        found += [(name, kept, is_tied is True) for name, kept in _placed([(output, embedding) for output in OUTPUTS])]
    return list(starmap(Tie, found))


def _placed(ties: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """`ties` with each prefix that the first of two names may have."""
    return ((before + left_out, kept) for left_out, kept in ties for before in BEFORE)


def _ending(kept: str, names: Sequence[str]) -> str | None:
    """The shortest of `names` that is `kept`, or ends with a dot and `kept`."""
    return min((name for name in names if f".{name}".endswith(f".{kept}")), key=len, default=None)


def _is_tied(checkpoint: Checkpoint) -> bool | None:
    """Whether the model of `checkpoint` ties its output layer to the embedding, as far as `config.json` says so."""
    try:
        config = checkpoint.config() or {}
    except InputError:  # reported if anything depends on it
        return None
    parts = [config, *(part for part in config.values() if isinstance(part, dict))]  # such as `text_config`
    said = [part["tie_word_embeddings"] for part in parts if isinstance(part.get("tie_word_embeddings"), bool)]
    if said:
        return any(said)
    return True if any(part.get("model_type") in FAMILIES for part in parts) else None
