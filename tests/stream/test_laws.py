"""The four laws: formulas to the bit, bounds always, distributions by test."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import special, stats

from initctl.stream import Constant, Normal, TruncNormal, Uniform, WholeLaw
from initctl.stream.draws import Draws
from tests.stream.goodness import normal_cdf, p_value, truncated_cdf, uniform_cdf

DRAWS = Draws.of(0, "laws")
MILLION = 1_000_000
FEW = 4096

floats32 = st.floats(-1e6, 1e6, width=32)
LAWS = [
    Constant(0.1),
    Uniform(-0.3, 0.7),
    Normal(0.5, 0.02),
    TruncNormal(0, 0.02, -0.04, 0.04),
    TruncNormal(1, 2, 3, math.inf),
]


@pytest.mark.parametrize("law", LAWS, ids=repr)
@given(st.integers(0, 2**40), st.integers(0, 20), st.integers(0, 20))
def test_the_same_element_has_the_same_value_whatever_range_it_is_asked_for_in(law, start, skipped, length):
    whole = law.values(DRAWS, start, start + skipped + length)
    np.testing.assert_array_equal(law.values(DRAWS, start + skipped, start + skipped + length), whole[skipped:])


@pytest.mark.parametrize("law", LAWS[1:], ids=repr)
def test_random_laws_give_float32_and_need_nothing_prepared(law):
    assert law.values(DRAWS, 0, 5).dtype == np.float32
    assert not isinstance(law, WholeLaw)


@pytest.mark.parametrize("value", [0, 1, -7, 2**53 + 1, 2**63, 0.1, -1e300])
def test_a_constant_is_itself_exactly(value):
    law = Constant(value)
    assert law.values(DRAWS, 3, 6).tolist() == [value] * 3
    assert law.largest == abs(value)


@pytest.mark.parametrize("value", [0, 0.1, -7])
def test_a_constant_is_held_exactly_or_not_at_all(value):
    assert Constant(value).exact == (value,)


class TestUniform:
    @pytest.mark.parametrize(("a", "b"), [(0, 1), (-0.1, 0.3), (0.1, 0.3), (5, 5), (-1e-30, 1e30)])
    def test_is_the_formula_in_float32(self, a, b):
        values = Uniform(a, b).values(DRAWS, 0, FEW)
        scaled = np.float32(b - a) * DRAWS.uniform01(0, FEW)
        np.testing.assert_array_equal(values, np.float32(a) + scaled, strict=True)

    @given(floats32, floats32)
    def test_stays_within_float32_bounds(self, a, b):
        a, b = sorted((a, b))
        values = Uniform(a, b).values(DRAWS, 0, FEW).astype(np.float64)
        assert a <= values.min()
        assert values.max() <= b
        assert np.abs(values).max() <= Uniform(a, b).largest

    @given(st.floats(1e-30, 1e30))
    def test_stays_within_symmetric_bounds_as_float32_rounds_them(self, bound):
        values = Uniform(-bound, bound).values(DRAWS, 0, FEW)
        assert np.abs(values).max() <= np.float32(bound)

    @pytest.mark.parametrize(("a", "b"), [(0, 1), (-0.05, 0.05), (3, 7)])
    def test_is_uniform(self, a, b):
        values = Uniform(a, b).values(DRAWS, 0, MILLION)
        assert values.mean(dtype=np.float64) == pytest.approx((a + b) / 2, abs=2e-3 * (b - a))
        assert values.std(dtype=np.float64) == pytest.approx((b - a) / math.sqrt(12), rel=2e-3)
        assert p_value(values, uniform_cdf(a, b)) > 1e-3


class TestNormal:
    @pytest.mark.parametrize(("mean", "std"), [(0, 1), (0.1, 0.02), (-5, 0), (1e30, 1e30)])
    def test_rounds_the_product_before_the_sum(self, mean, std):
        values = Normal(mean, std).values(DRAWS, 0, FEW)
        product = np.float32(std) * DRAWS.normal01(0, FEW)
        np.testing.assert_array_equal(values, np.float32(mean) + product, strict=True)
        assert np.abs(values).max() <= Normal(mean, std).largest

    @pytest.mark.parametrize(("mean", "std"), [(0, 1), (0.25, 0.02), (-3, 10)])
    def test_is_normal(self, mean, std):
        values = Normal(mean, std).values(DRAWS, 0, MILLION)
        assert values.mean(dtype=np.float64) == pytest.approx(mean, abs=4e-3 * std)
        assert values.std(dtype=np.float64) == pytest.approx(std, rel=4e-3)
        assert p_value(values, normal_cdf(mean, std)) > 1e-3


@st.composite
def truncated(draw):
    """A truncated normal law whose interval float32 numbers and probabilities can resolve."""
    mean, std = draw(st.floats(-10, 10)), draw(st.floats(1e-3, 10))
    ends = st.floats(-11.9, 11.9) | st.sampled_from([-1e6, 1e6])
    low, high = sorted((draw(ends), draw(ends)))
    law = TruncNormal(mean, std, mean + low * std, mean + high * std)
    assume(high - low > 0.01)
    assume(law.is_resolved)
    return law


class TestTruncNormal:
    LAWS = pytest.mark.parametrize(
        "law",
        [
            TruncNormal(0, 1, -2, 2),
            TruncNormal(0, 0.02, -2, 2),
            TruncNormal(0.5, 0.1, 0.45, 0.8),
            TruncNormal(0, 1, 1, 1e30),
            TruncNormal(0, 1, -1e30, 0.5),
            TruncNormal(2, 0.5, 4.5, 5),
            TruncNormal(2, 0.5, -1, -0.5),
            TruncNormal(0, 1, 11.9, 1e30),
            TruncNormal(0, 1, -1e30, -11.9),
            TruncNormal(0, 1, -1e-3, 1e-3),
        ],
        ids=repr,
    )

    @LAWS
    def test_is_truncated_normal(self, law):
        assert law.is_resolved
        values = law.values(DRAWS, 0, MILLION)
        assert p_value(values, truncated_cdf(law.mean, law.std, law.a, law.b)) > 1e-3

    @LAWS
    def test_has_the_moments_that_scipy_gives(self, law):
        low, high = ((bound - law.mean) / law.std for bound in (law.a, law.b))
        mean, variance = stats.truncnorm.stats(max(low, -30), min(high, 30), law.mean, law.std)
        values = law.values(DRAWS, 0, MILLION)
        assert values.mean(dtype=np.float64) == pytest.approx(mean, abs=5e-3 * math.sqrt(variance))
        assert values.std(dtype=np.float64) == pytest.approx(math.sqrt(variance), rel=1e-2)

    @settings(max_examples=300)
    @given(truncated())
    def test_never_leaves_its_interval_nor_its_declared_bound(self, law):
        values = law.values(DRAWS, 0, FEW).astype(np.float64)
        assert law.a <= values.min()
        assert values.max() <= law.b
        assert np.abs(values).max() <= law.largest

    def test_uses_bounds_rounded_inwards_where_float32_has_not_the_bounds_themselves(self):
        a, b = 1 + 2**-30, 1 + 2**-23 * 3 - 2**-30
        values = TruncNormal(1, 1e-6, a, b).values(DRAWS, 0, FEW)
        assert set(values.tolist()) == {1 + 2**-23, 1 + 2**-22}

    @pytest.mark.parametrize("start", [3, 6, 9, 11.9])
    def test_a_one_sided_tail_reaches_beyond_where_a_normal_draw_could_but_not_beyond_its_declared_bound(self, start):
        law = TruncNormal(0, 1, start, math.inf)
        deepest = Draws.normal01_between(DRAWS, 0, MILLION, low=0, high=law.tails[1] * 2**-12, above=True)
        assert law.values(DRAWS, 0, MILLION).max() < deepest.max() < law.largest < 13.1

    def test_bounds_limit_what_it_declares_as_largest(self):
        assert TruncNormal(0, 1, -2, 3).largest == 3
        assert TruncNormal(0, 1, -4, 3).largest == 4
        assert TruncNormal(0, 0.01, -2, 2).largest == pytest.approx(0.1301)

    @pytest.mark.parametrize(
        ("a", "b"), [(-2, 2), (-1, 5), (0.5, 2), (5, 9), (-9, -5), (-math.inf, 0)], ids=lambda bound: f"{bound:g}"
    )
    def test_tails_are_the_distribution_function_at_the_cuts_rounded_to_float32(self, a, b):
        law = TruncNormal(1, 2, 1 + 2 * a, 1 + 2 * b)
        sign = -1 if a > 0 else 1
        low, high = sorted(float(np.float32(special.ndtr(sign * end))) for end in (a, b))
        assert law.tails == pytest.approx((low, high), rel=1e-7)
        assert all(tail == np.float32(tail) for tail in law.tails)
        assert law.is_above == (a > 0)

    @pytest.mark.parametrize(("a", "b", "outside"), [(-2, 2, 0.04550026), (0, 40, 0.5), (-40, 40, 0)])
    def test_knows_the_probability_outside(self, a, b, outside):
        assert TruncNormal(3, 0.5, 3 + a / 2, 3 + b / 2).outside == pytest.approx(outside, abs=1e-8)

    @pytest.mark.parametrize(
        ("a", "b"),
        [(13, 14), (-99, -12.5), (1e10, 1e20), (-1e-6, 1e-6), (0.1, 0.10001), (5, 5.000001), (1, 1)],
        ids=lambda bound: f"{bound:g}",
    )
    def test_is_not_resolved_too_far_out_or_on_a_sliver(self, a, b):
        assert not TruncNormal(0, 1, a, b).is_resolved
