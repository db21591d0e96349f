"""The parts of a tensor in this process's memory."""

from __future__ import annotations

import torch
from torch import nn

from initctl.live.pieces import pieces, whole_shape


def test_a_plain_tensor_is_one_piece_and_the_piece_is_its_own_memory():
    weight = nn.Parameter(torch.ones(2, 3))
    ((memory, start),) = pieces(weight)
    memory.zero_()
    assert whole_shape(weight) == (2, 3)
    assert start == (0, 0)
    assert not weight.any()


def test_a_tensor_without_dimensions_is_one_piece():
    ((memory, start),) = pieces(torch.tensor(1.0))
    assert memory.shape == ()
    assert start == ()
