"""Tensors that are one: names that lead to the same bytes."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from initctl.dtypes import DType
    from initctl.tensors import Block, TensorSpec


def with_ties(tensors: Sequence[TensorSpec]) -> tuple[TensorSpec, ...]:
    """`tensors`, each with the names of those that it is tied to: same bytes, same dtype, same order of elements."""
    names: dict[tuple[DType, tuple[Block, ...]], list[str]] = defaultdict(list)
    for tensor in tensors:
        if tensor.numel and tensor.blocks:
            names[tensor.dtype, tensor.blocks].append(tensor.name)
    tied = {key: tuple(sorted(group)) for key, group in names.items() if len(group) > 1}
    return tuple(replace(t, tied=tied[t.dtype, t.blocks]) if (t.dtype, t.blocks) in tied else t for t in tensors)
