"""Tensors as messages name them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from initctl.errors import listed, shown

if TYPE_CHECKING:
    from collections.abc import Sequence

    from initctl.tensors import TensorSpec


def with_kinds(tensors: Sequence[TensorSpec]) -> str:
    """Their names, each with its dtype, or with the reason why no rule can fill it."""
    return listed([f"{shown(tensor.name)} ({tensor.unwritable or tensor.dtype.name})" for tensor in tensors])
