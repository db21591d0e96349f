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
    """Tensors with as many rows as another one had, which seem to belong to it, and keep this number."""
    checkpoint = around.checkpoint
    others = grouped((_rows(tensor), tensor) for tensor in checkpoint.tensors if not tensor.old)
    for tensor in checkpoint.resized:
        same = others.get(_old_rows(tensor), []) if _rows(tensor) != _old_rows(tensor) else []
        if behind := [shown(other.name) for other in same if _belong_together(tensor, other)]:
            keep = "keeps" if len(behind) == 1 else "keep"
            fault = f"{shown(tensor.name)} gets {_rows(tensor)} rows, but {listed(behind)} {keep} {_old_rows(tensor)}"
            together = alternatives([tensor.name, *(other.name for other in same if _belong_together(tensor, other))])
            hint = f"if they belong together, write --rows '{escape(together)}={_rows(tensor)}'"
            yield Problem("rows.left_behind", fault, hint)


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
