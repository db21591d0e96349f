"""torch's LAPACK and NumPy's give the same matrices to rounding."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from initctl.stream.engines.device import orthonormal_on
from initctl.stream.orthonormal import orthonormal

SHAPES = [(1, 5, 5), (3, 8, 5), (3, 5, 8), (2, 1, 4), (2, 4, 1), (1, 1, 1), (1, 300, 200)]
DEVICES = [
    "cpu",
    pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")),
]


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_both_ways_are_equal_to_rounding(shape, device):
    gaussian = np.random.default_rng(0).standard_normal(shape, dtype=np.float32)
    ours, theirs = orthonormal(gaussian), orthonormal_on(gaussian, device)
    assert theirs.dtype == ours.dtype == np.float32
    np.testing.assert_allclose(theirs, ours, rtol=0, atol=1e-5)


def test_the_callers_number_of_threads_is_as_it_was():
    before = torch.get_num_threads()
    orthonormal_on(np.ones((1, 3, 3), np.float32) + np.eye(3, dtype=np.float32), "cpu", threads=before + 1)
    assert torch.get_num_threads() == before
