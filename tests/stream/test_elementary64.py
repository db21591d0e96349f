"""Exponential, logarithm, sine and cosine in float64: how far from the true value, by mpmath."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest

from initctl.stream.elementary64 import (
    LARGEST_ANGLE,
    LARGEST_EXPONENT,
    exponential,
    natural_log,
    one_minus_exponential,
    sin_cos,
)

SOME = 4000
PROMISED = 5e-16
DIGITS = 50


def spread(low, high, count=SOME):
    """Numbers between two, always the same."""
    return np.random.default_rng(0).uniform(low, high, count)


def truth(function, x):
    """What `function` of mpmath gives for each x, to 50 digits."""
    with mpmath.workdps(DIGITS):
        return [function(mpmath.mpf(number)) for number in x.tolist()]


def errors(values, true, *, relative):
    with mpmath.workdps(DIGITS):
        differences = [abs(value - exact) for value, exact in zip(values.tolist(), true, strict=True)]
        return [d / abs(t) if relative and t else d for d, t in zip(differences, true, strict=True)]


class TestTheLogarithm:
    @pytest.mark.parametrize(
        "x",
        [
            np.exp(spread(-708, 709)),
            spread(0.5, 2),
            1 + np.arange(-500, 500) * 2.0**-53,
            np.sqrt(0.5) * (1 + np.arange(-50, 50) * 2.0**-53),
            np.array([5e-324, 1e-310, 2.0**-1022, 1.7976931348623157e308]),
        ],
        ids=["all magnitudes", "around 1", "next to 1", "where the exponent changes", "ends"],
    )
    def test_is_within_its_promise(self, x):
        assert max(errors(natural_log(x), truth(mpmath.log, x), relative=True)) < PROMISED

    def test_is_exactly_0_at_1(self):
        assert natural_log(np.array([1.0])) == 0


class TestTheExponential:
    @pytest.mark.parametrize(
        "x",
        [spread(-LARGEST_EXPONENT, LARGEST_EXPONENT), spread(-1, 1), (np.arange(-1000, 1000) + 0.5) * np.log(2)],
        ids=["all magnitudes", "around 0", "where the exponent changes"],
    )
    def test_is_within_its_promise(self, x):
        assert max(errors(exponential(x), truth(mpmath.exp, x), relative=True)) < PROMISED

    def test_is_a_normal_number_as_far_as_it_goes(self):
        ends = exponential(np.array([-LARGEST_EXPONENT, 0, LARGEST_EXPONENT]))
        assert ends.tolist() == pytest.approx([9.859676543759770e-305, 1, 1.0142320547350045e304], rel=PROMISED)


class TestOneMinusTheExponential:
    @pytest.mark.parametrize(
        "x",
        [np.exp(spread(-80, 6)), spread(0.4, 0.6), np.array([5e-324, 1e-300, 40, 1e308])],
        ids=["all magnitudes", "where the formula changes", "ends"],
    )
    def test_is_within_its_promise(self, x):
        true = truth(lambda number: -mpmath.expm1(-number), x)
        assert max(errors(one_minus_exponential(x), true, relative=True)) < PROMISED


class TestSineAndCosine:
    @pytest.mark.parametrize(
        "x",
        [
            spread(0, 10),
            spread(0, LARGEST_ANGLE),
            np.arange(500) * (np.pi / 4),
            np.floor(spread(0, LARGEST_ANGLE)),
            np.round(spread(0, LARGEST_ANGLE / 2)) * (np.pi / 2),
        ],
        ids=["first turns", "all turns", "eighths of turns", "whole numbers", "quarter turns"],
    )
    def test_are_within_their_promise(self, x):
        sine, cosine = sin_cos(x)
        assert max(errors(sine, truth(mpmath.sin, x), relative=False)) < PROMISED
        assert max(errors(cosine, truth(mpmath.cos, x), relative=False)) < PROMISED

    def test_are_exact_at_0(self):
        assert [part.tolist() for part in sin_cos(np.zeros(1))] == [[0], [1]]


def test_all_are_float64():
    x = np.array([0.3])
    results = [natural_log(x), exponential(x), one_minus_exponential(x), *sin_cos(x)]
    assert {result.dtype for result in results} == {np.dtype(np.float64)}


@pytest.mark.parametrize("function", [natural_log, exponential, one_minus_exponential, sin_cos])
def test_a_number_has_the_same_value_wherever_it_stands_in_an_array(function):
    x = spread(0.1, 50, 1001)
    together = np.array(function(x))
    for part in (slice(1, None), slice(7, 8), slice(3, 900, 2)):
        np.testing.assert_array_equal(np.array(function(x[part])), together[..., part])
