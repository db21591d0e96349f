"""Complex tensors: parts at indices 2i and 2i + 1, with torch's laws."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from initctl.initializers import Unfit
from initctl.initializers.complex import RealPart, on_complex
from initctl.stream import Constant, Fused, Normal, TruncNormal, Uniform
from initctl.stream.deterministic_laws import Diagonals
from tests.initializers.running import DRAWS, resolve, stored
from tests.stream.goodness import p_value_of_two

SHAPE = (1000, 500)
RANDOM = [
    ("normal:mean=0.5,std=0.02", torch.nn.init.normal_, {"mean": 0.5, "std": 0.02}),
    ("uniform:a=-1,b=3", torch.nn.init.uniform_, {"a": -1, "b": 3}),
    ("xavier_normal:gain=2", torch.nn.init.xavier_normal_, {"gain": 2}),
    ("xavier_uniform", torch.nn.init.xavier_uniform_, {}),
    ("kaiming_normal", torch.nn.init.kaiming_normal_, {}),
    ("kaiming_uniform", torch.nn.init.kaiming_uniform_, {}),
]


def values(call, shape):
    """The tensor as complex numbers."""
    return np.frombuffer(stored(call, shape, "complex64"), np.complex64).reshape(shape)


def sample(initialize, shape=SHAPE, **parameters):
    """What torch draws, always the same."""
    empty = torch.empty(shape, dtype=torch.complex64)
    return initialize(empty, generator=torch.Generator().manual_seed(0), **parameters).numpy()


@pytest.mark.parametrize(("call", "initialize", "parameters"), RANDOM, ids=[call for call, *_ in RANDOM])
def test_each_part_has_torchs_law(call, initialize, parameters):
    ours, theirs = values(call, SHAPE), sample(initialize, **parameters)
    assert p_value_of_two(ours.real, theirs.real) > 1e-3
    assert p_value_of_two(ours.imag, theirs.imag) > 1e-3


def test_the_variance_of_a_normal_law_is_shared_by_the_parts():
    assert resolve("normal:mean=1,std=2", (2, 2), "complex64").law == Normal(1, 2 / math.sqrt(2))


def test_real_and_imaginary_parts_are_independent():
    drawn = values("normal", SHAPE)
    assert np.corrcoef(drawn.real.reshape(-1), drawn.imag.reshape(-1))[0, 1] == pytest.approx(0, abs=5e-3)


def test_parts_take_the_draws_at_twice_the_index():
    drawn = values("uniform", (3, 4))
    np.testing.assert_array_equal(drawn.view(np.float32).reshape(-1), DRAWS.uniform01(0, 24))


def test_a_constant_is_real():
    assert set(values("constant:val=0.5", (3,)).tolist()) == {0.5 + 0j}


def test_a_bias_from_prob_is_real():
    assert set(values("bias_from_prob:p=0.5", (3,)).tolist()) == {0j}
    assert (values("bias_from_prob", (3,)).imag == 0).all()


def test_sparse_zeroes_whole_elements_as_many_as_torch_does():
    drawn = values("sparse:sparsity=0.3,std=2", (50, 2000))
    theirs = sample(torch.nn.init.sparse_, (50, 2000), sparsity=0.3)
    assert (drawn == 0).sum(0).tolist() == (theirs == 0).sum(0).tolist()
    assert (drawn.real == 0).tolist() == (drawn.imag == 0).tolist()
    kept = drawn[drawn != 0]
    assert kept.std() == pytest.approx(2, rel=1e-2)
    assert kept.real.std() == pytest.approx(math.sqrt(2), rel=1e-2)


@pytest.mark.parametrize("law", [Constant(3), Diagonals(0, 4, 3)], ids=repr)
@given(st.integers(0, 24), st.integers(0, 24))
def test_the_same_part_has_the_same_value_whatever_range_it_is_asked_for_in(law, start, stop):
    start, stop = sorted((start, stop))
    whole = RealPart(law).values(DRAWS, 0, 24)
    np.testing.assert_array_equal(RealPart(law).values(DRAWS, start, stop), whole[start:stop])


def test_a_real_part_is_as_large_as_the_law_it_holds():
    assert on_complex(Constant(-3)).largest == 3
    assert on_complex(Diagonals(0, 4, 3)).largest == 1


@pytest.mark.parametrize("call", ["lstm_bias:forget=2", "arange_log", "eye", "zero_hadamard", "sinusoid"])
def test_what_is_not_drawn_is_real(call):
    shape = (8,) if call.startswith("lstm") else (8, 4)
    real = np.frombuffer(stored(call, shape), np.float32).reshape(shape)
    np.testing.assert_array_equal(values(call, shape), real.astype(np.complex64))


def test_parts_of_a_fused_weight_have_their_laws_on_complex_numbers():
    fused = on_complex(Fused((Normal(0, 2), Uniform(5, 6)), (2, 3), 4))
    assert fused == Fused((Normal(0, 2 / math.sqrt(2)), Uniform(5, 6)), (2, 3), 8)
    first, second = np.split(fused.values(DRAWS, 0, 24).view(np.complex64).reshape(3, 4), [2])
    np.testing.assert_array_equal(first.reshape(-1), values("normal:std=2", (2, 4)).reshape(-1))
    np.testing.assert_array_equal(second[0], values("uniform:a=5,b=6", (3, 4))[2])


@pytest.mark.parametrize(
    "call",
    [
        "trunc_normal:cut=2",
        "lecun_normal",
        "orthogonal",
        "log_uniform:a=1,b=2",
        "inv_softplus_log_uniform",
        "uniform_log:a=1,b=2",
        "variance_scaling:scale=1,mode=fan_out,distribution=truncated_normal,split=3:1",
    ],
)
def test_laws_that_are_real_do_not_fit(call):
    with pytest.raises(Unfit, match="it is complex, but this law is defined only for real numbers"):
        resolve(call, (4, 4), "complex64")


def test_torch_has_no_truncated_or_orthogonal_complex_tensors_either():
    empty = torch.empty(4, 4, dtype=torch.complex64)
    with pytest.raises(NotImplementedError):
        torch.nn.init.trunc_normal_(empty)
    with pytest.raises(NotImplementedError):
        torch.nn.init.orthogonal_(empty)


def test_a_truncated_law_of_its_own_is_refused_too():
    with pytest.raises(Unfit):
        on_complex(TruncNormal(0, 1, -1, 1))
