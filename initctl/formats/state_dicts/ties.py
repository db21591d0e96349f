"""Tied tensors: names that lead to the same bytes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from initctl.grouping import grouped

if TYPE_CHECKING:
    from initctl.tensors import TensorSpec

FORMAT = "format"
"""A key of every file's metadata: the library that the file is for, `pt`. So a tie cannot be noted under this name."""


def with_aliases(tensors: Sequence[TensorSpec], metadata: Mapping[str, str]) -> tuple[TensorSpec, ...]:
    """`tensors`, each with its aliases: names of tensors tied to it that were not written to the file.

    `safetensors.torch.save_model`, huggingface_hub and initctl's conversion note them in metadata: alias → kept name.
    """
    names = {tensor.name for tensor in tensors}
    noted = metadata.items()
    aliases = grouped((kept, left_out) for left_out, kept in noted if kept in names and left_out != FORMAT)
    return tuple(replace(t, aliases=tuple(sorted(aliases[t.name]))) if t.name in aliases else t for t in tensors)


def with_sure_aliases(tensors: Sequence[TensorSpec]) -> tuple[TensorSpec, ...]:
    """`tensors` of all files, without aliases that are also the name of a tensor, or of several tensors."""
    noted = Counter(alias for tensor in tensors for alias in tensor.aliases)
    taken = {tensor.name for tensor in tensors} | {alias for alias, count in noted.items() if count > 1}
    return tuple(
        replace(t, aliases=tuple(a for a in t.aliases if a not in taken)) if taken.intersection(t.aliases) else t
        for t in tensors
    )


def with_ties(tensors: Sequence[TensorSpec], *, of_empty: bool = False) -> tuple[TensorSpec, ...]:
    """`tensors`, each with the names that it is tied to: same bytes, same dtype, same order of elements.

    Tensors without elements are tied to none, unless `of_empty`: then those that begin at the same byte are tied.
    """
    places = [
        (tensor.dtype.name, tensor.blocks) if tensor.blocks and (tensor.numel or of_empty) else None
        for tensor in tensors
    ]
    names = grouped((place, tensor.name) for tensor, place in zip(tensors, places, strict=True) if place)
    tied = {place: tuple(sorted(group)) for place, group in names.items() if len(group) > 1}
    if not tied:
        return tuple(tensors)
    return tuple(
        replace(tensor, tied=tied[place]) if place in tied else tensor
        for tensor, place in zip(tensors, places, strict=True)
    )
