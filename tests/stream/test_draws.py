"""Draws: one number for each element index, whatever range it is asked for in."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from initctl.stream.draws import Draws
from initctl.stream.key import Key
from tests.stream.goodness import normal_cdf, p_value, uniform_cdf
from tests.stream.philox_by_hand import word_by_hand

FC1 = Draws.of(0, "fc1.weight")
MILLION = 1_000_000
WORDS = 1 << 21

KINDS = {
    "words": FC1.words,
    "uniform01": FC1.uniform01,
    "normal01": FC1.normal01,
    "fraction01": FC1.fraction01,
    "stream 1": lambda start, stop: FC1.normal01(start, stop, stream=1),
    "between": lambda start, stop: FC1.normal01_between(start, stop, low=0.25, high=0.75, above=False),
    "between, above": lambda start, stop: FC1.normal01_between(start, stop, low=0.125, high=0.25, above=True),
}
kinds = st.sampled_from(sorted(KINDS))
lengths = st.integers(0, 40)


@dataclass(frozen=True)
class GivenWords(Draws):
    """Draws from words that are given."""

    given: tuple[int, ...] = ()

    def words(self, start, stop, *, stream=0):
        return np.array(self.given, np.uint32)[start:stop]


def normal_by_hand(words):
    """Box and Muller's transform in float64, from u as float32 rounds it."""
    u = (words[0::2].astype(np.float32) * np.float32(2**-32) + np.float32(2**-33)).astype(np.float64)
    radius, angle = np.sqrt(-2 * np.log(u)), 2 * np.pi * (words[1::2] * 2.0**-32)
    return np.column_stack([radius * np.cos(angle), radius * np.sin(angle)]).reshape(-1)


class TestTheChainThatTheDesignPrints:
    def test_words(self):
        assert FC1.words(0, 4).tolist() == [2948262702, 2004506211, 3611921578, 3307610193]

    def test_uniform01_to_the_bit(self):
        np.testing.assert_array_equal(FC1.uniform01(0, 2), np.array([0.6864459, 0.46671045], np.float32), strict=True)

    def test_normal01_within_a_millionth(self):
        printed = [-0.84853597, 0.18011781, 0.07418128, -0.58387085]
        np.testing.assert_allclose(FC1.normal01(0, 4), printed, rtol=0, atol=1e-6)


@given(kinds, st.integers(0, 2**62), lengths, lengths, lengths)
def test_the_same_element_has_the_same_value_whatever_range_it_is_asked_for_in(kind, start, before, length, after):
    of = KINDS[kind]
    whole = of(start, start + before + length + after)
    part = of(start + before, start + before + length)
    assert part.shape == (length,)
    assert part.tobytes() == whole[before : before + length].tobytes()


@pytest.mark.parametrize("start", [0, 3, 2**34 - 5, 2**34 - 4, 2**34, 2**40 + 1, 2**62 + 3])
@pytest.mark.parametrize("stream", [0, 1])
def test_words_are_those_of_the_element_index_even_beyond_two_to_the_32_blocks(start, stream):
    expected = [word_by_hand(FC1.key, index, stream) for index in range(start, start + 9)]
    assert FC1.words(start, start + 9, stream=stream).tolist() == expected


@pytest.mark.parametrize("kind", KINDS)
def test_an_empty_range_has_no_values(kind):
    for start in (0, 1, 4, 7):
        assert KINDS[kind](start, start).shape == (0,)


@pytest.mark.parametrize("kind", sorted(set(KINDS) - {"words", "fraction01"}))
def test_values_are_float32(kind):
    assert KINDS[kind](1, 9).dtype == np.float32


def test_uniform01_is_the_top_24_bits_of_the_word():
    words = FC1.words(0, MILLION)
    np.testing.assert_array_equal(FC1.uniform01(0, MILLION).astype(np.float64), (words >> 8) / 2.0**24)


def test_uniform01_reaches_0_and_stays_below_1():
    draws = GivenWords(Key(0, 0), (0, 255, 256, 2**32 - 1))
    np.testing.assert_array_equal(draws.uniform01(0, 4), np.array([0, 0, 2**-24, 1 - 2**-24], np.float32))


def test_fraction01_is_the_middle_of_the_words_step():
    words = FC1.words(0, MILLION)
    np.testing.assert_array_equal(FC1.fraction01(0, MILLION), (words + 0.5) / 2.0**32, strict=True)
    ends = GivenWords(Key(0, 0), (0, 2**32 - 1)).fraction01(0, 2)
    assert ends.tolist() == [2.0**-33, 1 - 2.0**-33]


def test_uniform01_is_uniform():
    values = Draws.of(1, "u").uniform01(0, MILLION)
    assert values.mean() == pytest.approx(0.5, abs=2e-3)
    assert values.std() == pytest.approx(12**-0.5, rel=2e-3)
    assert p_value(values, uniform_cdf(0, 1)) > 1e-3


def test_normal01_is_normal():
    values = Draws.of(1, "n").normal01(0, MILLION).astype(np.float64)
    assert values.mean() == pytest.approx(0, abs=4e-3)
    assert values.std() == pytest.approx(1, rel=4e-3)
    assert (values**3).mean() == pytest.approx(0, abs=2e-2)
    assert (values**4).mean() == pytest.approx(3, rel=2e-2)
    assert p_value(values, normal_cdf(0, 1)) > 1e-3


def test_normal01_is_the_float64_transform_within_two_millionths():
    values = FC1.normal01(0, WORDS)
    np.testing.assert_allclose(values, normal_by_hand(FC1.words(0, WORDS)), rtol=0, atol=2e-6)


def test_normal01_is_so_at_the_extreme_words_too():
    largest = 2**32 - 1
    radii = (0, 1, 2, 127, 128, 2**31 - 1, 2**31, largest - 256, largest - 128, largest - 1, largest)
    eighths = [turn * 2**29 + step for turn in range(8) for step in (-1, 0, 1)]
    words = np.array([(w1, w2 % 2**32) for w1 in radii for w2 in eighths], np.uint32).reshape(-1)
    values = GivenWords(Key(0, 0), tuple(words.tolist())).normal01(0, words.size)
    assert np.isfinite(values).all()
    assert np.abs(values).max() < 6.77
    np.testing.assert_allclose(values, normal_by_hand(words), rtol=0, atol=2e-6)


def test_streams_names_and_seeds_are_independent():
    samples = [
        FC1.normal01(0, MILLION),
        FC1.normal01(0, MILLION, stream=1),
        Draws.of(0, "fc2.weight").normal01(0, MILLION),
        Draws.of(1, "fc1.weight").normal01(0, MILLION),
    ]
    np.testing.assert_allclose(np.corrcoef(samples), np.eye(len(samples)), atol=4e-3)


def test_neighbours_are_independent():
    values = FC1.normal01(0, MILLION)
    for lag in (1, 2, 3, 4, 5, 8):
        assert np.corrcoef(values[:-lag], values[lag:])[0, 1] == pytest.approx(0, abs=4e-3)


def test_between_keeps_to_its_probabilities_and_both_grow_with_the_word():
    below = FC1.normal01_between(0, MILLION, low=0.125, high=0.25, above=False)
    above = FC1.normal01_between(0, MILLION, low=0.125, high=0.25, above=True)
    assert below.min() == pytest.approx(-1.150349, abs=1e-5)
    assert below.max() == pytest.approx(-0.674490, abs=1e-5)
    assert above.min() == pytest.approx(0.674490, abs=1e-5)
    assert above.max() == pytest.approx(1.150349, abs=1e-5)
    by_word = np.argsort(FC1.words(0, MILLION))
    assert np.diff(below[by_word]).min() > -1e-6
    assert np.diff(above[by_word]).min() > -1e-6
