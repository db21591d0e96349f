"""Tensors in memory are read as their blocks say, also after their memory was overwritten."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from initctl.dtypes import BY_NAME
from initctl.live.memory import Memory, MemoryReader
from initctl.tensors import Block, TensorSpec

HALF = TensorSpec("w", BY_NAME["float32"], (4, 3), (Block("here", 0, (2, 0), (2, 3), (1, 2)),))
"""The last two rows, transposed; other ranks have the rest."""


@pytest.mark.parametrize("ahead", [False, True])
def test_elements_that_other_processes_have_are_not_read(ahead: bool):
    held = torch.arange(6, dtype=torch.float32)
    reader = MemoryReader({"here": Memory(held.untyped_storage())})
    if ahead:
        reader.read_ahead([HALF])
        held.zero_()
    assert reader.read(HALF, 6, 12).view(np.float32).tolist() == [0, 2, 4, 1, 3, 5]
    assert reader.read(HALF, 7, 10).view(np.float32).tolist() == [2, 4, 1]
    with pytest.raises(LookupError, match=r"tensor w: 3 elements at \(1, 0\) are not in this process"):
        reader.read(HALF, 3, 9)
