"""One part of a tensor, in this process's memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch

if TYPE_CHECKING:
    from initctl.tensors import Shape


class Piece(NamedTuple):
    """A rectangle of a tensor. `memory` is a plain tensor whose elements are the tensor's own, not a copy; `start` is
    the index of its first element in the whole tensor.
    """

    memory: torch.Tensor
    start: Shape


class Unfillable(Exception):  # noqa: N818 - a fact that callers report with the tensor's name
    """The elements of a tensor are not in memory as themselves, or cannot be located; the message says why."""


def is_wrapper(tensor: torch.Tensor) -> bool:
    """Whether it is of a class that decides itself what its elements are: its own memory may be empty."""
    return type(tensor).__torch_dispatch__ is not torch.Tensor.__torch_dispatch__
