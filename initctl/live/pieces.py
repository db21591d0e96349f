"""The parts of a tensor that are in this process's memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import torch

    from initctl.tensors import Shape


class Piece(NamedTuple):
    """A rectangle of a tensor. `memory` is a plain tensor whose elements are the tensor's own, not a copy; `start` is
    the index of its first element in the whole tensor.
    """

    memory: torch.Tensor
    start: Shape


def whole_shape(tensor: torch.Tensor) -> Shape:
    """The shape of the whole tensor."""
    return tuple(tensor.shape)


def pieces(tensor: torch.Tensor) -> Iterator[Piece]:
    """The pieces of `tensor` in this process. No two overlap."""
    yield Piece(tensor.detach(), (0,) * tensor.ndim)
