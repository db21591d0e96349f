"""Logarithm, sine, cosine and normal quantile: how far from the true value, and always float32."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import special

from initctl.stream.elementary import natural_log, normal_quantile, sin_cos

MANY = 1 << 20
TURN = 2**32


def quantile_at(p):
    """The quantile at float64 probabilities."""
    return normal_quantile((p - 0.5).astype(np.float32), np.minimum(p, 1 - p).astype(np.float32))


class TestTheLogarithm:
    @pytest.mark.parametrize(
        "x",
        [
            np.exp(np.linspace(-87, 88, MANY)),
            np.linspace(0.5, 2, MANY),
            1 + np.arange(-1000, 1000) * 2.0**-24,
            np.linspace(2**-33, 2**-30, MANY),
        ],
        ids=["all magnitudes", "around 1", "next to 1", "deepest tail"],
    )
    def test_is_within_a_unit_in_the_last_place(self, x):
        x = x.astype(np.float32)
        true = np.log(x.astype(np.float64))
        error = np.abs(natural_log(x) - true)
        assert (error <= np.spacing(np.abs(true).astype(np.float32))).all()

    def test_is_exactly_0_at_1_and_never_positive_below(self):
        assert natural_log(np.array([1], np.float32)) == 0
        below = np.float32(1) - np.arange(1, MANY, dtype=np.float32) * np.float32(2**-24)
        assert (natural_log(below) < 0).all()

    def test_is_float32(self):
        assert natural_log(np.array([0.3], np.float32)).dtype == np.float32


class TestSineAndCosine:
    turns = np.linspace(0, TURN - 1, MANY).astype(np.uint32)

    def test_are_within_their_promise(self):
        sine, cosine = sin_cos(self.turns)
        angle = 2 * np.pi * (self.turns / TURN)
        np.testing.assert_allclose(sine, np.sin(angle), rtol=0, atol=1.1e-7)
        np.testing.assert_allclose(cosine, np.cos(angle), rtol=0, atol=1.1e-7)

    def test_are_exact_at_quarter_turns(self):
        sine, cosine = sin_cos(np.arange(4, dtype=np.uint32) << np.uint32(30))
        np.testing.assert_array_equal(sine, [0, 1, 0, -1])
        np.testing.assert_array_equal(cosine, [1, 0, -1, 0])

    def test_change_quadrant_without_a_step(self):
        seams = np.array([k * (TURN // 8) for k in range(8)])
        around = (seams[:, np.newaxis] + np.arange(-3, 4)) % TURN
        for values in sin_cos(around.astype(np.uint32)):
            assert np.abs(np.diff(values, axis=1)).max() < 1.3e-7

    def test_lie_on_the_unit_circle(self):
        sine, cosine = sin_cos(self.turns)
        np.testing.assert_allclose(sine.astype(np.float64) ** 2 + cosine.astype(np.float64) ** 2, 1, atol=3e-7)

    def test_are_float32(self):
        assert [part.dtype for part in sin_cos(self.turns[:3])] == [np.float32, np.float32]


class TestTheQuantile:
    def test_is_within_two_millionths_up_to_four_standard_deviations(self):
        p = special.ndtr(np.linspace(-4, 4, MANY))
        np.testing.assert_allclose(quantile_at(p), special.ndtri(p), rtol=0, atol=2e-6)

    def test_stays_close_in_the_far_tail(self):
        z = np.linspace(-12.5, -4, MANY)
        np.testing.assert_allclose(quantile_at(special.ndtr(z)), z, rtol=0, atol=1e-5)

    @pytest.mark.parametrize("p", [0.5 - 0.425, 0.5 + 0.425, np.exp(-25.0)], ids=["low", "high", "far"])
    def test_changes_formula_without_a_step(self, p):
        around = p * (1 + np.linspace(-1e-5, 1e-5, 1001))
        np.testing.assert_allclose(quantile_at(around), special.ndtri(around), rtol=0, atol=5e-6)

    def test_is_0_in_the_middle_and_odd_around_it(self):
        assert quantile_at(np.array([0.5])) == 0
        p = np.arange(1, 2**12) * 2.0**-13
        np.testing.assert_array_equal(quantile_at(p), -quantile_at(1 - p))

    def test_is_finite_even_where_the_tail_has_rounded_to_nothing(self):
        end = normal_quantile(np.array([-0.5, 0.5], np.float32), np.zeros(2, np.float32))
        np.testing.assert_allclose(end, [-13.003, 13.003], atol=1e-3)

    def test_is_float32(self):
        assert quantile_at(np.array([0.01, 0.3])).dtype == np.float32
