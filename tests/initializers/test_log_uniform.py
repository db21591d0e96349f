"""Laws that are uniform in the logarithm: bounds always, distributions by test, Mamba's formula."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from initctl.errors import RuleError
from initctl.initializers import Unfit
from initctl.stream import Uniform
from initctl.stream.laws import InverseSoftplus, LogUniform, inner_bounds
from tests.initializers.running import DRAWS, resolve, stored, values
from tests.stream.goodness import p_value, p_value_of_two, uniform_cdf

MILLION = (1000, 1000)
FEW = 2048
FLOAT32 = np.finfo(np.float32)
magnitudes = st.floats(math.log10(FLOAT32.tiny), math.log10(FLOAT32.max) - 1e-6).map(lambda power: 10**power)


def mambas_steps(a=0.001, b=0.1, floor=1e-4):
    """The time steps that transformers draws for Mamba, always the same."""
    fraction = torch.rand(MILLION, generator=torch.Generator().manual_seed(0))
    return torch.exp(fraction * (math.log(b) - math.log(a)) + math.log(a)).clamp(min=floor)


class TestLogUniform:
    @pytest.mark.parametrize(("a", "b"), [(0.001, 0.1), (1, 16), (0.01, 16), (1.2e-38, 3e38), (2, 2.001)])
    def test_is_uniform_in_the_logarithm(self, a, b):
        drawn = values(f"log_uniform:a={a},b={b}", MILLION).astype(np.float64)
        assert p_value(np.log(drawn), uniform_cdf(math.log(a), math.log(b))) > 1e-3

    def test_is_the_formula_in_float64_rounded_once(self):
        fraction = (DRAWS.words(0, 10**6).astype(np.float64) + 0.5) / 2**32
        expected = np.exp(math.log(0.001) + (math.log(0.1) - math.log(0.001)) * fraction).astype(np.float32)
        np.testing.assert_array_max_ulp(values("log_uniform:a=0.001,b=0.1", MILLION).reshape(-1), expected, maxulp=1)

    @given(magnitudes, magnitudes)
    def test_never_leaves_its_interval(self, a, b):
        a, b = sorted((a, b))
        first, last = inner_bounds(a, b)
        assume(first <= last)
        drawn = LogUniform(a, b).values(DRAWS, 0, FEW).astype(np.float64)
        assert a <= drawn.min()
        assert drawn.max() <= b

    def test_uses_bounds_rounded_inwards_where_float32_has_not_the_bounds_themselves(self):
        a, b = 1 + 2**-30, 1 + 2**-23 * 3 - 2**-30
        assert set(LogUniform(a, b).values(DRAWS, 0, FEW).tolist()) == {1 + 2**-23, 1 + 2**-22}

    def test_of_one_number_is_that_number(self):
        assert resolve("log_uniform:a=0.1,b=0.1", (2,)).law == Uniform(0.1, 0.1)

    def test_an_interval_without_a_float32_number_does_not_fit(self):
        with pytest.raises(Unfit, match=re.escape("there is no float32 number from a=1.00000001 to b=1.00000002")):
            resolve("log_uniform:a=1.00000001,b=1.00000002", (2,))

    def test_both_ends_must_be_given(self):
        with pytest.raises(RuleError, match="log_uniform needs a and b"):
            resolve("log_uniform", (2,))


class TestInvSoftplusLogUniform:
    @pytest.mark.parametrize("steps", [(), (0.01, 2), (1e-5, 0.1, 1e-3), (3, 40, 0)], ids=str)
    def test_is_the_law_of_mambas_bias_in_transformers(self, steps):
        dt = mambas_steps(*steps).double()
        theirs = dt + torch.log(-torch.expm1(-dt))
        call = ",".join(f"{key}={value}" for key, value in zip(("a", "b", "floor"), steps, strict=False))
        ours = values(f"inv_softplus_log_uniform:{call}".rstrip(":"), MILLION)
        ours, theirs = ours.astype(np.float64).round(4), theirs.numpy().round(4)  # the floor is equal to rounding
        assert p_value_of_two(ours, theirs) > 1e-3

    @pytest.mark.parametrize(("a", "b", "floor"), [(0.001, 0.1, 1e-4), (1e-30, 1e30, 0), (0.5, 1, 0), (1e-4, 1, 1e-2)])
    def test_its_softplus_is_the_log_uniform_number_or_the_floor(self, a, b, floor):
        drawn = InverseSoftplus(a, b, floor).values(DRAWS, 0, 10_000).astype(np.float64)
        steps = np.maximum(LogUniform(a, b).values(DRAWS, 0, 10_000), np.float32(floor))
        np.testing.assert_allclose(np.logaddexp(drawn, 0), steps, rtol=4e-7 * np.abs(drawn).max())

    def test_is_the_formula_in_float64_rounded_once(self):
        fraction = (DRAWS.words(0, 10**6).astype(np.float64) + 0.5) / 2**32
        dt = np.exp(math.log(0.001) + (math.log(0.1) - math.log(0.001)) * fraction)
        expected = (dt + np.log(-np.expm1(-dt))).astype(np.float32)
        np.testing.assert_array_max_ulp(values("inv_softplus_log_uniform", MILLION).reshape(-1), expected, maxulp=1)

    @given(magnitudes, magnitudes, st.floats(0, 10))
    def test_is_never_larger_than_declared(self, a, b, floor):
        law = InverseSoftplus(*sorted((a, b)), floor)
        assert np.abs(law.values(DRAWS, 0, FEW).astype(np.float64)).max() <= law.largest

    def test_has_mambas_steps_by_default(self):
        assert resolve("inv_softplus_log_uniform", (2,)).law == InverseSoftplus(0.001, 0.1, 1e-4)

    def test_is_one_number_where_the_floor_is_above_all(self):
        assert len(set(values("inv_softplus_log_uniform:floor=1", (100,)).tolist())) == 1


NAMES = ["log_uniform", "inv_softplus_log_uniform", "uniform_log"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        ("a=0,b=1", "a=0 is not a number above 0"),
        ("a=-1,b=1", "a='-1' is not a number above 0"),
        ("a=1,b=0", "b=0 is not a number above 0"),
        ("a=2,b=1", "a=2 is greater than b=1"),
    ],
)
def test_arguments_that_make_no_law_are_refused_before_any_tensor_is_seen(name, arguments, fault):
    with pytest.raises(RuleError, match=re.escape(fault)):
        resolve(f"{name}:{arguments}", (2, 2))


def test_a_default_that_makes_the_interval_empty_is_seen():
    with pytest.raises(RuleError, match=re.escape("a=1 is greater than b=0.1")):
        resolve("inv_softplus_log_uniform:a=1", (2,))


@pytest.mark.parametrize("name", NAMES)
def test_numbers_that_float32_holds_with_fewer_digits_do_not_fit(name):
    with pytest.raises(Unfit, match=r"^a=1e-40 is below 1\.18e-38"):
        resolve(f"{name}:a=1e-40,b=1", (2,))


@pytest.mark.parametrize("name", NAMES)
@given(st.integers(0, 2**40), st.integers(0, 20), st.integers(0, 20))
def test_the_same_element_has_the_same_value_whatever_range_it_is_asked_for_in(name, start, skipped, length):
    law = resolve(f"{name}:a=0.5,b=2", (2,)).law
    whole = law.values(DRAWS, start, start + skipped + length)
    np.testing.assert_array_equal(law.values(DRAWS, start + skipped, start + skipped + length), whole[skipped:])


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float8_e4m3fn", "float8_e5m2", "float64"])
def test_another_float_type_holds_the_rounded_float32_values(name, dtype):
    float32 = torch.frombuffer(bytearray(stored(f"{name}:a=0.01,b=0.1", (8, 8))), dtype=torch.float32)
    rounded = float32.to(getattr(torch, dtype)).view(torch.uint8).numpy()
    np.testing.assert_array_equal(np.frombuffer(stored(f"{name}:a=0.01,b=0.1", (8, 8), dtype), np.uint8), rounded)
