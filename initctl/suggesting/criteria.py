"""The tests that show the role of one tensor, from its name, shape and neighbors. The first that holds decides.

Names are compared by words: `LayerNorm`, `pre_layrnorm` and `ln_1` are norms, `normalizer` is not.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from initctl.planning.computed import computed_kind, measured_kind
from initctl.suggesting.arrangement import gates, has_kernel

if TYPE_CHECKING:
    from initctl.suggesting.neighbors import Seen

_MATRIX = 2
_NORM = re.compile(r"\w*norms?|\w*nrm|ln|lnf|bn|gn")
"""A word of a normalization's name."""
_LETTERS = re.compile("[a-z]+")
_ATTENTION = re.compile(r"[a-z]*(attn|attention)s?|att|mha|mhsa|msa|xca")
_QUERIES = re.compile(r"([qkv]|qkv|kqv)_(proj|lin)(_weight)?|to_(q|k|v|qkv)|w?qkv|w[qkv]|query_key_value|c_attn")
"""Names of attention matrices in any module."""
_FEED_FORWARD = re.compile(r"[a-z]*(mlp|ffn)[a-z]*|ff|feedforward|feed")
"""Modules in a block named after its attention that are not part of the attention."""
_EMBEDDING = re.compile(r"emb|embs|\w*embed|embeds|\w*embeddings?|embedder|wte|lut|codebook|tok|vocab")
_POSITIONAL = frozenset({"pos", "wpe", "position", "positions", "positional", "relative", "rel"})
_TOKEN = frozenset({
    "token", "tokens", "latent", "latents", "probe", "queries", "query", "prompt", "prompts", "mask", "masked",
    "register", "registers", "class",
})  # fmt: skip
_LAYER = frozenset({
    "proj", "projection", "projector", "linear", "lin", "conv", "fc", "mlp", "dense", "ffn", "norm", "net", "ln",
})  # fmt: skip
"""Words of a layer that computes with embeddings or positions, and does not hold them."""
_HEAD = frozenset({
    "head", "heads", "lm_head", "classifier", "classification_head", "score", "qa_outputs", "embed_out", "logits",
    "to_logits", "output_projection", "vocab_projector", "pred_layer", "lm_loss", "output_layer", "fc_out",
    "generator_lm_head",
})  # fmt: skip
"""Modules that are last layers, unless they are inside one of several equal blocks."""
_GATE = frozenset({"gate", "router", "wg", "gating", "shared_expert_gate"})
_RECURRENT = re.compile(r"(weight|bias)_(ih|hh|hr)(_l\d+)?(_reverse)?")
_LOGITS = re.compile(r"logit_(scale|bias)(_\w+)?|temperature")
_BRANCH = re.compile(
    r"gamma(_?\w+)?|lambda(_?\d)?|(\w+_)?gain|layer_scale(_\w+)?|ls_?\d?|skip_scale|scale_(mlp|attn|msa)"
)
_LAYER_SCALE = re.compile(r"(\w+_)?layer_scale_?\d*|ls_?\d*")
_SOFTMAX = frozenset({"softmax_scaling", "ssmax_scaling"})
"""Modules that multiply queries by a number that grows with the length of the text."""
_OF_ITS_OWN = frozenset({"balancing_biases", "temp"})
"""Tensors that Zaya starts from special numbers: one router class below the others, and logarithms."""
_STATES = frozenset({"a_log", "d", "a"})
_BIAS = re.compile(r"(\w+_)?(bias|biases)(_\w+)?|beta|b")


_LEARNED_INPUTS = ("bias_k", "bias_v")
"""A key and a value that `torch.nn.MultiheadAttention` appends to others."""
_IN_PROJECTIONS = ("in_proj_weight", "q_proj_weight")
"""Tensors of `torch.nn.MultiheadAttention` beside its output projection."""
_LSTM_GATES = 4
_MANY_ROWS, _TIMES = 512, 4
"""The fewest rows of a table, and how many times more than its columns."""


def role_of(seen: Seen) -> str:
    """The role of a floating-point tensor, as far as it does not depend on which layers are the last."""
    return next((role for role, holds in _TESTS if holds(seen)), "unknown")


def _any(pattern: re.Pattern[str], words: Iterable[str]) -> bool:
    return any(map(pattern.fullmatch, words))


def _is_norm(seen: Seen) -> bool:
    """A tensor named like a norm; or a vector named weight, but not the single number of a PReLU. A norm for each head
    has a row for each.
    """
    if not seen.tensor.is_vector:
        *_, noun = ("", *_LETTERS.findall(seen.module))
        return seen.last in ("weight", "scale") and seen.ndim == _MATRIX and bool(_NORM.fullmatch(noun))
    if _BIAS.fullmatch(seen.last):
        return False
    if _any(_NORM, seen.module_words | seen.last_words) or "running_var" in seen.beside:
        return True
    return seen.last in ("weight", "scale") and seen.ndim == 1 and ("bias" in seen.beside or seen.tensor.numel > 1)


def _is_scale(seen: Seen) -> bool:
    is_branch = bool(_BRANCH.fullmatch(seen.last)) and not _any(_NORM, seen.module_words)
    is_in_module = seen.module == "grn" or bool(_LAYER_SCALE.fullmatch(seen.module))
    return (
        bool(_LOGITS.fullmatch(seen.last))
        or is_branch
        or seen.module in _SOFTMAX
        or (is_in_module and seen.last in ("weight", "scale"))
    )


def _is_slope(seen: Seen) -> bool:
    if seen.last != "weight" or seen.ndim != 1 or "bias" in seen.beside or _any(_NORM, seen.module_words):
        return False
    return seen.tensor.numel == 1 or not seen.module_words.isdisjoint({"prelu", "act", "activation", "relu"})


def _is_bias(seen: Seen) -> bool:
    is_other = seen.last_words & _POSITIONAL or seen.last in ("attention_biases", *_LEARNED_INPUTS)
    return bool(_BIAS.fullmatch(seen.last)) and not is_other


def _is_positional(seen: Seen) -> bool:
    words = seen.module_words if seen.last in ("weight", "bias") else seen.last_words
    if words & _LAYER or (words is seen.module_words and seen.ndim != _MATRIX):
        return False
    is_within = seen.ndim == _MATRIX and "bias" not in seen.beside and "embed_positions" in seen.parts
    return bool(words & _POSITIONAL) or seen.last == "attention_biases" or is_within


def _is_embedding(seen: Seen) -> bool:
    """A table by its name, or a matrix without a bias by its shape."""
    if seen.last != "weight":
        return seen.ndim >= _MATRIX and _any(_EMBEDDING, seen.last_words) and not seen.last_words & (_LAYER | _TOKEN)
    if seen.ndim != _MATRIX or "bias" in seen.beside or _is_in_attention(seen):
        return False
    if seen.module_words & _LAYER or seen.module in _HEAD:
        return False
    return _any(_EMBEDDING, seen.module_words) or seen.module == "shared" or _is_table(seen)


def _is_table(seen: Seen) -> bool:
    """Whether a matrix has many more rows than columns, no matrix has that many inputs, and it is not the last layer:
    it is the first matrix, or another layer has that many outputs and a bias.
    """
    rows, columns = seen.tensor.shape
    is_tall = rows >= _MANY_ROWS and rows >= _TIMES * columns and not seen.neighbors.inputs[rows]
    return is_tall and (seen.neighbors.first_matrix is seen.tensor or rows in seen.neighbors.biases)


def _is_token(seen: Seen) -> bool:
    if seen.last == "weight":
        called = {"token", "tokens"} if "embed" not in seen.module else _TOKEN
        return seen.ndim == _MATRIX and "bias" not in seen.beside and not seen.module_words.isdisjoint(called)
    if seen.last in _LEARNED_INPUTS:
        return True
    return bool(seen.last_words & _TOKEN) and not seen.last_words & _LAYER and "weight" not in seen.last_words


def _is_head(seen: Seen) -> bool:
    is_output = seen.module == "decoder" and not {"predictions", "lm_head"}.isdisjoint(seen.parts)
    if seen.last != "weight" or seen.ndim < _MATRIX or not (seen.module in _HEAD or is_output):
        return False
    return not (seen.is_in_numbered or seen.parts[-2].isdigit() or _is_in_attention(seen))


def _is_gate(seen: Seen) -> bool:
    """A matrix named like a gate, with fewer outputs than inputs: there are fewer experts than features."""
    is_called_so = seen.module in _GATE or (seen.module == "classifier" and "router" in seen.parts)
    return seen.ndim == _MATRIX and is_called_so and seen.tensor.shape[0] <= seen.tensor.shape[1]


def _is_attention(seen: Seen) -> bool:
    """A matrix in an attention module; a kernel with one tap is a matrix, and heads may be a separate dim."""
    if seen.ndim < _MATRIX or (has_kernel(seen) and any(size > 1 for size in seen.tensor.shape[2:])):
        return False
    is_called_so = _QUERIES.fullmatch(seen.module) or _QUERIES.fullmatch(seen.last)
    return bool(is_called_so) or _is_in_attention(seen) or not seen.above.keys().isdisjoint(_IN_PROJECTIONS)


def _is_in_attention(seen: Seen) -> bool:
    """Whether the nearest module named after attention or a feed-forward layer is attention."""
    for part in reversed(seen.parts[:-1]):
        words = part.split("_")
        if _any(_FEED_FORWARD, words):
            return False
        if _any(_ATTENTION, words):
            return True
    return False


def _is_linear(seen: Seen) -> bool:
    return seen.ndim >= _MATRIX and (seen.last == "weight" or not seen.tensor.is_vector)


def _recurrent(kind: str, *of: str) -> Callable[[Seen], bool]:
    def holds(seen: Seen) -> bool:
        found = _RECURRENT.fullmatch(seen.last)
        return bool(found and found[1] == kind and found[2] in of)

    return holds


def _opens_forget_gate(seen: Seen) -> bool:
    """One of the two biases that torch adds."""
    return _recurrent("bias", "hh")(seen) and gates(seen) == _LSTM_GATES


def _is_state(seen: Seen) -> bool:
    return seen.last in _STATES and "A_log" in seen.beside


def _gives_time_steps(seen: Seen) -> bool:
    return seen.last in ("dt_bias", "dt_proj_bias") or (seen.last == "bias" and seen.module == "dt_proj")


def _is_magnitude(seen: Seen) -> bool:
    is_first = seen.last == "original0" and "original1" in seen.beside
    return is_first or (seen.last.endswith("weight_g") and f"{seen.last[:-1]}v" in seen.beside)


def _is_of_power_iteration(seen: Seen) -> bool:
    is_old = seen.last in ("weight_u", "weight_v") and "weight_orig" in seen.beside
    return is_old or (seen.last in ("_u", "_v") and "parametrizations" in seen.parts)


_TESTS: Sequence[tuple[str, Callable[[Seen], bool]]] = (
    ("unwritable", lambda seen: seen.tensor.unwritable is not None),
    ("running_mean", lambda seen: seen.last == "running_mean"),
    ("running_var", lambda seen: seen.last == "running_var"),
    ("average", lambda seen: measured_kind(seen.tensor) is not None),
    ("computed", lambda seen: computed_kind(seen.tensor) is not None),
    ("power_iteration", _is_of_power_iteration),
    ("magnitude", _is_magnitude),
    ("adapter_in", lambda seen: bool({"lora_a", "lora_down", "lora_embedding_b"} & {*seen.parts})),
    ("adapter_out", lambda seen: bool({"lora_b", "lora_up", "lora_embedding_a"} & {*seen.parts})),
    ("recurrent", _recurrent("weight", "hh")),
    ("recurrent_input", _recurrent("weight", "ih", "hr")),
    ("forget_bias", _opens_forget_gate),
    ("time_steps", _gives_time_steps),
    ("states", _is_state),
    ("unknown", lambda seen: seen.last in _OF_ITS_OWN),
    ("scale", _is_scale),
    ("positional", _is_positional),
    ("slope", _is_slope),
    ("norm", _is_norm),
    ("bias", _is_bias),
    ("embedding", _is_embedding),
    ("token", _is_token),
    ("gate", _is_gate),
    ("head", _is_head),
    ("attention", _is_attention),
    ("conv", has_kernel),
    ("linear", _is_linear),
)
"""The test for each role; the first that holds decides."""
