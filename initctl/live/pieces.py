"""The parts of a tensor that are in this process's memory."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, TypeGuard

from initctl.live.flat_share import FlatShare
from initctl.live.piece import Piece, Unfillable
from initctl.live.window import Window

if TYPE_CHECKING:
    import torch
    from torch.distributed.tensor import DTensor

    from initctl.tensors import Shape

    Held = torch.Tensor | FlatShare | Window
    """What holds the elements of a tensor in memory."""

__all__ = ["Piece", "Unfillable", "is_dtensor", "pieces", "torchs_own", "whole_shape"]


def whole_shape(tensor: Held) -> Shape:
    """The shape of the whole tensor."""
    return tuple(tensor.shape)


def pieces(tensor: Held) -> Iterator[Piece]:
    """The pieces of `tensor` in this process. No two overlap. Raises `Unfillable` if they cannot be located."""
    if isinstance(tensor, Window):
        return (part for piece in pieces(tensor.parameter) for part in tensor.within(piece))
    if isinstance(tensor, FlatShare):
        return tensor.pieces
    if is_dtensor(tensor):
        from initctl.live import dtensors

        return dtensors.pieces(tensor)
    return iter([Piece(tensor.detach(), (0,) * tensor.ndim)])


def torchs_own(tensor: Held) -> torch.Tensor:
    """The tensor of torch that changes with `tensor`."""
    if isinstance(tensor, Window):
        return torchs_own(tensor.parameter)
    return tensor.memory if isinstance(tensor, FlatShare) else tensor


def is_dtensor(tensor: torch.Tensor) -> TypeGuard[DTensor]:
    """Whether several processes may hold parts of it. Its class is imported if there is one."""
    module = sys.modules.get("torch.distributed.tensor")
    return module is not None and isinstance(tensor, module.DTensor)
