"""The roles of tensors."""

from __future__ import annotations

from collections.abc import Container, Hashable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from initctl.suggesting.criteria import role_of
from initctl.suggesting.neighbors import Neighbors, Seen

if TYPE_CHECKING:
    from initctl.tensors import TensorSpec

ROLES: Mapping[str, str] = {
    "linear": "the matrix of a layer, or a stack of matrices, such as experts",
    "conv": "the kernels of a convolution",
    "attention": "an attention matrix: for queries, keys, values or outputs",
    "embedding": "a table of vectors: each input selects a row",
    "positional": "vectors or numbers for positions",
    "token": "a learned input: a class token, a mask, queries",
    "norm": "the factor of a normalization",
    "bias": "the summand of a layer",
    "head": "the matrix of the last layer, whose outputs are the model's",
    "gate": "the matrix of a router, whose outputs choose or weight experts",
    "recurrent": "the matrix from one step of a recurrent layer to the next",
    "recurrent_input": "the matrix from the inputs to a recurrent layer",
    "forget_bias": "the bias of an LSTM that opens its forget gate",
    "scale": "a factor for a whole branch, or for logits",
    "slope": "the slope of a PReLU below zero",
    "states": "the states of a state-space layer: A and D",
    "time_steps": "the bias of a state-space layer that sets its time steps",
    "adapter_in": "the first matrix of a low-rank adapter",
    "adapter_out": "the second matrix of a low-rank adapter",
    "magnitude": "the lengths of vectors under weight normalization",
    "power_iteration": "a vector of spectral normalization",
    "running_mean": "means that a batch norm measures",
    "running_var": "variances that a batch norm measures",
    "average": "another average that training measures",
    "computed": "a tensor that the model computes and does not learn: a mask, a table, a schedule",
    "quantized": "a part of a quantized weight",
    "unwritable": "a tensor that no rule can fill",
    "unknown": "none of these, judging by its name and its shape",
}
"""Every role, and the tensors that have it."""

_MATRIX = 2


def roles(neighbors: Neighbors, quantized: Container[str]) -> dict[str, str]:
    """The role of each floating-point tensor, and of each tensor in `quantized`, by name."""
    of_kind: dict[Hashable, str] = {}
    found: dict[str, str] = {}
    for tensor in neighbors.tensors:
        if tensor.name in quantized:
            found[tensor.name] = "quantized"
        elif tensor.dtype.is_floating:
            kind = neighbors.kind(tensor)
            if kind not in of_kind:
                of_kind[kind] = role_of(Seen(tensor, neighbors))
            found[tensor.name] = of_kind[kind]
    layers = [Seen(neighbors.by_name[name], neighbors) for name, role in found.items() if role == "linear"]
    found |= dict.fromkeys(_heads(layers, found.values()), "head")
    return found | _of_tied(neighbors.tensors, found)


def _heads(layers: Sequence[Seen], known: Iterable[str]) -> list[str]:
    """The last layers among `layers`: no other weight has as many inputs as they have outputs. If there are none, and
    none is known by name, the last layer of a network without numbered blocks.
    """
    single = [seen for seen in layers if _is_single(seen)]
    if last := [seen.tensor.name for seen in single if not _is_taken(seen)]:
        return last
    if not single or "head" in known or any(seen.is_in_numbered for seen in layers):
        return []
    places = single[0].neighbors.places
    return [max(single, key=lambda seen: ("encoder" not in seen.parts, places[seen.tensor.name])).tensor.name]


def _is_taken(seen: Seen) -> bool:
    """Whether a matrix has as many inputs as this one has outputs, or half as many, as after a gated unit."""
    outputs, _ = seen.neighbors.sizes(seen.tensor)
    inputs = seen.neighbors.inputs
    return inputs[outputs] > 0 or (outputs % 2 == 0 and inputs[outputs // 2] > 0)


def _is_single(seen: Seen) -> bool:
    """Whether a matrix is not one of several equal ones in numbered layers, and not a pooler's."""
    is_matrix = seen.ndim == _MATRIX and seen.last in ("weight", "kernel")
    return is_matrix and (not seen.is_in_numbered or seen.is_alone) and "pooler" not in seen.parts


def _of_tied(tensors: Iterable[TensorSpec], known: Mapping[str, str]) -> dict[str, str]:
    """One role for tied tensors: embedding, if one of them has it."""
    tied = dict.fromkeys(tensor.tied for tensor in tensors if tensor.tied)
    found: dict[str, str] = {}
    for names in tied:
        of_them = [known[name] for name in names if name in known]
        found |= dict.fromkeys(names, "embedding" if "embedding" in of_them else of_them[0]) if of_them else {}
    return found
