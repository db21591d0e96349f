"""The logarithm of a uniform number: the formula, the law of transformers' A_log, its bounds."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from initctl.errors import RuleError
from initctl.stream.laws import UniformLog
from tests.initializers.running import DRAWS, resolve, values
from tests.stream.goodness import p_value_of_two

MILLION = (1000, 1000)
numbers = st.floats(1e-30, 1e30)


def test_is_the_formula_in_float64_rounded_once():
    fraction = (DRAWS.words(0, 10**6).astype(np.float64) + 0.5) / 2**32
    expected = np.log(0.01 + (16 - 0.01) * fraction).astype(np.float32)
    np.testing.assert_array_max_ulp(values("uniform_log:a=0.01,b=16", MILLION).reshape(-1), expected, maxulp=1)


def test_is_the_law_of_the_states_of_gated_delta_nets_in_transformers():
    theirs = torch.empty(MILLION).uniform_(0.01, 16, generator=torch.Generator().manual_seed(0)).log_().numpy()
    assert p_value_of_two(values("uniform_log:a=0.01,b=16", MILLION), theirs) > 1e-3


@given(numbers, numbers)
def test_is_never_larger_than_declared(a, b):
    law = UniformLog(*sorted((a, b)))
    assert np.abs(law.values(DRAWS, 0, 2048).astype(np.float64)).max() <= law.largest


def test_of_one_number_is_its_logarithm():
    assert set(values("uniform_log:a=2,b=2", (100,)).tolist()) == {float(np.float32(math.log(2)))}


def test_both_ends_must_be_given():
    with pytest.raises(RuleError, match="uniform_log needs a and b"):
        resolve("uniform_log", (2,))
