"""Tensors whose numbers mean nothing without a scale beside them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from initctl.tensors import TensorSpec

_BESIDE_THE_TENSOR = ("_scale", "_scale_inv", "_scales", "_scale_2", ".scale", ".scales")
"""Endings that follow the tensor's own name: compressed-tensors, DeepSeek, ModelOpt, MX formats."""
_BESIDE_IN_ITS_MODULE = ("scale", "scales", "scale_inv", "scale_weight")
"""Names that take the place of the last part of the tensor's name: ComfyUI and older exporters."""


def quantized(tensors: Sequence[TensorSpec]) -> frozenset[str]:
    """The names of the float8 tensors among `tensors` that have a scale."""
    names = {tensor.name for tensor in tensors}
    return frozenset(tensor.name for tensor in tensors if _is_float8(tensor) and _has_scale(tensor.name, names))


def _is_float8(tensor: TensorSpec) -> bool:
    return tensor.dtype.bits == 8 and tensor.dtype.is_floating


def _has_scale(name: str, names: set[str]) -> bool:
    module = name.rpartition(".")[0]
    siblings = (f"{module}.{last}" if module else last for last in _BESIDE_IN_ITS_MODULE)
    return any(name + ending in names for ending in _BESIDE_THE_TENSOR) or any(s in names for s in siblings)
