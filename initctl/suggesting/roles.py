"""What tensors are for: their roles, told from names, shapes and neighbors.

The first test that holds names the role. Names count by their words: `LayerNorm`, `pre_layrnorm` and `ln_1` are norms,
`normalizer` is not.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from initctl.planning.computed import computed_kind, measured_kind
from initctl.suggesting.neighbors import Seen, template

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable, Mapping, Sequence

    from initctl.suggesting.neighbors import Neighbors
    from initctl.tensors import TensorSpec

ROLES: Mapping[str, str] = {
    "linear": "the matrix of a layer, or a stack of them, as of experts",
    "conv": "the kernels of a convolution",
    "attention": "a matrix of attention: for queries, keys, values or outputs",
    "embedding": "a table of vectors: each input takes a row",
    "positional": "vectors, or numbers, for positions",
    "token": "an input that is learned: a class token, a mask, queries",
    "norm": "what a normalization multiplies by",
    "bias": "what a layer adds",
    "head": "the matrix of a last layer, whose outputs are the model's",
    "gate": "the matrix of a router, whose outputs choose or weigh experts",
    "recurrent": "the matrix from one step of a recurrent layer to the next",
    "recurrent_input": "the matrix from the inputs to a recurrent layer",
    "forget_bias": "the bias of an LSTM that opens its forget gate",
    "scale": "what multiplies a whole branch, or logits",
    "slope": "the slope of a PReLU below zero",
    "states": "the states of a state-space layer: A, and D",
    "time_steps": "the biases of a state-space layer that give its time steps",
    "adapter_in": "the first matrix of a low-rank adapter",
    "adapter_out": "the second matrix of a low-rank adapter",
    "magnitude": "the lengths of vectors under weight normalization",
    "power_iteration": "a vector of spectral normalization",
    "running_mean": "means that a batch norm measures",
    "running_var": "variances that a batch norm measures",
    "average": "another average that training measures",
    "computed": "what the model computes and does not learn: a mask, a table, a schedule",
    "quantized": "a part of a quantized weight",
    "unwritable": "a tensor that no rule can fill",
    "unknown": "none of these, as far as its name and its shape say",
}
"""Every role, and what has it."""

_MATRIX = 2
_NORM = re.compile(r"\w*norms?|\w*nrm|ln|lnf|bn|gn")
"""A word of a normalization's name."""
_ATTENTION = re.compile(r"\w*(attn|attention)s?|mha|mhsa|msa")
_PROJECTION = re.compile(r"([qkvo]|qkv|out|in)_(proj|lin)|to_(q|k|v|qkv)|w?(qkv|q|k|v|o)|query_key_value|c_attn|q_attn")
_QUERIES = re.compile(r"([qkv]|qkv|kqv)_(proj|lin)(_weight)?|to_(q|k|v|qkv)|w?qkv|w[qkvo]|query_key_value|c_attn")
"""A matrix of attention, whatever the module is called that it is in."""
_EMBEDDING = re.compile(r"emb|embs|\w*embed|embeds|\w*embeddings?|embedder|wte|lut|codebook|shared|tok|vocab")
_POSITIONAL = frozenset({"pos", "wpe", "position", "positions", "positional", "relative", "rel"})
_TOKEN = frozenset({
    "token", "tokens", "latent", "latents", "probe", "queries", "query", "prompt", "prompts", "mask", "masked",
    "register", "registers", "class",
})  # fmt: skip
_LAYER = frozenset({
    "proj", "projection", "projector", "linear", "lin", "conv", "fc", "mlp", "dense", "ffn", "norm", "net", "ln",
})  # fmt: skip
"""Words of a layer that computes something of embeddings or positions, and does not hold them."""
_HEAD = frozenset({
    "head", "heads", "lm_head", "classifier", "classification_head", "score", "qa_outputs", "embed_out", "logits",
    "to_logits", "output_projection", "vocab_projector", "pred_layer", "lm_loss", "output_layer", "fc_out",
    "generator_lm_head",
})  # fmt: skip
"""Modules that are last layers, wherever they are."""
_GATE = frozenset({"gate", "router", "wg", "gating", "shared_expert_gate"})
_RECURRENT = re.compile(r"(weight|bias)_(ih|hh|hr)(_l\d+)?(_reverse)?")
_LOGITS = frozenset({"logit_scale", "logit_bias", "temperature"})
_BRANCH = re.compile(r"gamma(_?\d)?|lambda(_?\d)?|layer_scale(_\w+)?|ls_?\d?|skip_scale|scale_(mlp|attn|msa)")
_STATES = frozenset({"a_log", "d", "a"})
_BIAS = re.compile(r"(\w+_)?(bias|biases)(_\w+)?|beta|b")


def roles(neighbors: Neighbors, quantized: Container[str]) -> dict[str, str]:
    """The role of each floating-point tensor, and of each that is in `quantized`, by its name."""
    found: dict[str, str] = {}
    layers: list[Seen] = []
    for tensor in neighbors.tensors:
        if tensor.name in quantized:
            found[tensor.name] = "quantized"
        elif tensor.dtype.is_floating:
            seen = Seen(tensor, neighbors)
            found[tensor.name] = _role(seen)
            if found[tensor.name] == "linear":
                layers.append(seen)
    found |= dict.fromkeys(_heads(layers, found.values()), "head")
    return found | _of_tied(neighbors.tensors, found)


def _role(seen: Seen) -> str:
    if seen.tensor.unwritable:
        return "unwritable"
    return next((role for role, holds in _TESTS if holds(seen)), "unknown")


def _heads(layers: Sequence[Seen], known: Iterable[str]) -> list[str]:
    """The last of `layers` that are not known by their names: no other weight takes as many inputs as they give. If
    there are none, and none is known, the last layer that is not one of several alike.
    """
    single = [seen for seen in layers if _is_single(seen) and "pooler" not in seen.parts]
    if last := [seen.tensor.name for seen in single if not seen.neighbors.inputs[seen.tensor.shape[0]]]:
        return last
    if not single or "head" in known:
        return []
    return [max(single, key=lambda seen: seen.neighbors.places[seen.tensor.name]).tensor.name]


def _is_single(seen: Seen) -> bool:
    """Whether a matrix is not one of several alike, in layers that numbers count."""
    is_alone = seen.neighbors.alike[template(seen.tensor.name), seen.tensor.shape] == 1
    return seen.ndim == _MATRIX and (is_alone or not seen.is_in_numbered)


def _of_tied(tensors: Iterable[TensorSpec], known: Mapping[str, str]) -> dict[str, str]:
    """One role for tensors that are one: an embedding, if one of them is."""
    tied = dict.fromkeys(tensor.tied for tensor in tensors if tensor.tied)
    found: dict[str, str] = {}
    for names in tied:
        of_them = [known[name] for name in names if name in known]
        found |= dict.fromkeys(names, "embedding" if "embedding" in of_them else of_them[0]) if of_them else {}
    return found


def _any(pattern: re.Pattern[str], words: Iterable[str]) -> bool:
    return any(map(pattern.fullmatch, words))


def _is_vector(seen: Seen) -> bool:
    """Whether at most one dim has several places."""
    return sum(size > 1 for size in seen.tensor.shape) <= 1


def _is_norm(seen: Seen) -> bool:
    """What is called so; or a vector called weight, and not the single number of a PReLU."""
    if not _is_vector(seen) or _BIAS.fullmatch(seen.last):
        return False
    if _any(_NORM, seen.module_words | seen.last_words) or "running_var" in seen.beside:
        return True
    return seen.last in ("weight", "scale") and seen.ndim == 1 and ("bias" in seen.beside or seen.tensor.numel > 1)


def _is_slope(seen: Seen) -> bool:
    is_called_so = seen.module_words & {"prelu", "act", "activation", "relu"}
    is_single = seen.tensor.shape == (1,) and "bias" not in seen.beside
    return seen.last == "weight" and seen.ndim == 1 and bool(is_called_so or is_single)


def _is_bias(seen: Seen) -> bool:
    return bool(_BIAS.fullmatch(seen.last)) and not seen.last_words & _POSITIONAL and seen.last != "attention_biases"


def _is_positional(seen: Seen) -> bool:
    if seen.last in ("weight", "bias"):
        return bool(seen.module_words & _POSITIONAL) and not seen.module_words & _LAYER and seen.ndim == _MATRIX
    words = seen.last_words
    return bool(words & _POSITIONAL or seen.last == "attention_biases") and not words & _LAYER


def _is_embedding(seen: Seen) -> bool:
    """A table that is called so, or that has many more rows than columns, and no bias."""
    if seen.ndim != _MATRIX or "bias" in seen.beside or _any(_ATTENTION, seen.parts):
        return False
    words = seen.module_words if seen.last == "weight" else seen.last_words
    if words & _LAYER or seen.module in _HEAD:
        return False
    return _any(_EMBEDDING, words) or (seen.last == "weight" and _is_table(seen))


_MANY_ROWS, _TIMES = 512, 4
"""Rows that a table has at least, and how many times more than columns."""


def _is_table(seen: Seen) -> bool:
    """Whether rows are what nothing takes for inputs, and columns are; and it is the first of all matrices."""
    rows, columns = seen.tensor.shape
    is_tall = rows >= _MANY_ROWS and rows >= _TIMES * columns
    return is_tall and not seen.neighbors.inputs[rows] and seen.neighbors.first_matrix is seen.tensor


def _is_token(seen: Seen) -> bool:
    if seen.last == "weight":
        return seen.ndim == _MATRIX and bool(seen.module_words & _TOKEN) and "embed" in seen.module
    return bool(seen.last_words & _TOKEN) and not seen.last_words & _LAYER and "weight" not in seen.last_words


def _is_head(seen: Seen) -> bool:
    is_last = seen.module in _HEAD or (seen.module == "decoder" and bool(set(seen.parts) & {"predictions", "lm_head"}))
    is_last = is_last and not seen.parts[-2].isdigit()
    return seen.last == "weight" and seen.ndim >= _MATRIX and is_last and not _any(_ATTENTION, seen.parts)


def _is_gate(seen: Seen) -> bool:
    is_called_so = seen.module in _GATE or (seen.module == "classifier" and "router" in seen.parts)
    return seen.ndim == _MATRIX and is_called_so


def _is_attention(seen: Seen) -> bool:
    """A matrix of a module of attention; a kernel of one tap is a matrix."""
    if seen.ndim < _MATRIX or any(size > 1 for size in seen.tensor.shape[2:]):
        return False
    return _any(_ATTENTION, seen.parts[:-1]) or bool(_QUERIES.fullmatch(seen.module) or _QUERIES.fullmatch(seen.last))


def _is_conv(seen: Seen) -> bool:
    is_stack = seen.ndim == _MATRIX + 1 and "experts" in seen.parts
    return seen.ndim > _MATRIX and _is_weight(seen) and not is_stack


def _is_linear(seen: Seen) -> bool:
    return seen.ndim >= _MATRIX and (_is_weight(seen) or seen.ndim == _MATRIX or "experts" in seen.parts)


def _is_weight(seen: Seen) -> bool:
    return bool(seen.last_words & {"weight", "kernel", "w"}) or seen.last.startswith("original") or seen.last == "v"


def _recurrent(kind: str, *of: str) -> Callable[[Seen], bool]:
    def holds(seen: Seen) -> bool:
        found = _RECURRENT.fullmatch(seen.last)
        return bool(found and found[1] == kind and found[2] in of)

    return holds


def _opens_forget_gate(seen: Seen) -> bool:
    """torch adds two biases: one of them is enough."""
    from initctl.suggesting.arrangement import gates

    return _recurrent("bias", "hh")(seen) and gates(seen) == _LSTM_GATES


_LSTM_GATES = 4


def _under(ending: str) -> Callable[[Seen], bool]:
    """Whether a name has this part, or ends with it."""

    def holds(seen: Seen) -> bool:
        return ending in seen.parts or seen.last.endswith(ending)

    return holds


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
    ("scale", lambda seen: seen.last in _LOGITS or (bool(_BRANCH.fullmatch(seen.last)) and not _is_norm(seen))),
    ("positional", _is_positional),
    ("slope", _is_slope),
    ("norm", _is_norm),
    ("bias", _is_bias),
    ("embedding", _is_embedding),
    ("token", _is_token),
    ("gate", _is_gate),
    ("head", _is_head),
    ("attention", _is_attention),
    ("conv", _is_conv),
    ("linear", _is_linear),
)
"""What each role is told by; the first that holds counts."""
