"""Tensors that probably have to follow another one that gets another number of rows."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from initctl.errors import Problem, escape, listed, shown
from initctl.grouping import grouped
from initctl.planning.sharing import alternatives
from initctl.planning.tied import EMBEDDINGS, OUTPUTS

if TYPE_CHECKING:
    from initctl.planning.deciding import Decided
    from initctl.planning.surroundings import Surroundings
    from initctl.tensors import TensorSpec

_BIASES = (*(name.replace(".weight", ".bias") for name in OUTPUTS), "cls.predictions.bias")
OF_VOCABULARY = re.compile(rf"(?:^|\.)(?:{'|'.join(map(re.escape, (*OUTPUTS, *EMBEDDINGS, *_BIASES)))})$")
"""The names of tensors with a row for each token."""


def rows_left_behind(_: Decided, around: Surroundings) -> Iterator[Problem]:
    """Tensors with as many rows as others had, which seem to belong to them, and keep this number."""
    checkpoint = around.checkpoint
    others = grouped((_rows(tensor), tensor) for tensor in checkpoint.tensors if not tensor.old)
    changed = [tensor for tensor in checkpoint.resized if _rows(tensor) != _old_rows(tensor)]
    behind = [
        tuple(other.name for other in others.get(_old_rows(tensor), []) if _belong_together(tensor, other))
        for tensor in changed
    ]
    pairs = [((_old_rows(t), _rows(t), names), t.name) for t, names in zip(changed, behind, strict=True) if names]
    for (old, new, left), moved in grouped(pairs).items():
        get, keep = ("gets" if len(moved) == 1 else "get"), ("keeps" if len(left) == 1 else "keep")
        some, rest = (listed(list(map(shown, names))) for names in (moved, left))
        fault = f"{some} {get} {new} rows, but {rest} {keep} {old}"
        together = escape(alternatives([*moved, *left]))
        yield Problem("rows.left_behind", fault, f"if they belong together, write --rows '{together}={new}'")


def _belong_together(one: TensorSpec, other: TensorSpec) -> bool:
    """Whether both are of the vocabulary, or are the weight and the bias of one layer."""
    layers = {tensor.name.rpartition(".")[0] for tensor in (one, other)}
    ends = {tensor.name.rpartition(".")[2] for tensor in (one, other)}
    if len(layers) == 1 and ends == {"weight", "bias"}:
        return True
    return all(OF_VOCABULARY.search(tensor.name) for tensor in (one, other))


def _rows(tensor: TensorSpec) -> int:
    return tensor.all_rows[1]


def _old_rows(tensor: TensorSpec) -> int:
    return (tensor.old or tensor).all_rows[1]
