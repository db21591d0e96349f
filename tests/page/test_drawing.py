"""Histograms and series as paths: what they show is where it is drawn."""

from __future__ import annotations

import re
from itertools import accumulate

import numpy as np
import pytest

from initctl.page.drawing import (
    BAR_HEIGHT,
    BARS,
    HEIGHT,
    WIDTH,
    before_and_after,
    distribution,
    histogram_path,
    series_path,
)
from initctl.statistics.histogram import BINS, Histogram


def histogram(low: float, high: float, counts) -> Histogram:
    return Histogram(low, high, np.asarray(counts, np.uint32))


def heights(path: str) -> list[int]:
    """Of each bar, read back from a path."""
    found, level = [], 0
    assert path.startswith(f"M0 {BAR_HEIGHT}")
    for letter, number, other in re.findall(r"([vhm])(-?\d+)( 0)?", path[1:]):
        assert (letter == "m") == bool(other)
        if letter == "v":
            level -= int(number)
        else:
            found += [level] * int(number)
    assert level == 0
    return found + [0] * (BARS - len(found))


def test_each_bar_is_as_high_as_it_is_full_beside_the_fullest():
    counts = np.repeat(np.arange(BARS), BINS // BARS)
    expected = [-(-BAR_HEIGHT * number // (BARS - 1)) for number in range(BARS)]
    assert heights(histogram_path(histogram(-1, 1, counts), -1, 1)) == expected


def test_a_bar_that_holds_one_number_of_many_can_be_seen():
    counts = [10**6] + [0] * (BINS - 2) + [1]
    assert heights(histogram_path(histogram(0, 1, counts), 0, 1)) == [BAR_HEIGHT] + [0] * (BARS - 2) + [1]


def test_nothing_is_drawn_where_nothing_is():
    path = histogram_path(histogram(0, 1, [1] + [0] * (BINS - 1)), 0, 1)
    assert path == f"M0 {BAR_HEIGHT}v-{BAR_HEIGHT}h1v{BAR_HEIGHT}"


def test_a_constant_is_one_bar_in_the_middle():
    one = histogram(3, 3, [7] + [0] * (BINS - 1))
    assert heights(histogram_path(one, 3, 3)).index(BAR_HEIGHT) == BARS // 2


@pytest.mark.parametrize(("value", "place"), [(0.0, 0), (0.5, 8), (1.0, 15)])
def test_a_constant_between_other_numbers_is_at_its_place(value, place):
    found = heights(histogram_path(histogram(value, value, [5] + [0] * (BINS - 1)), 0, 1))
    assert found == [BAR_HEIGHT if number == place else 0 for number in range(BARS)]


def test_an_even_distribution_stays_even_between_wider_ends():
    found = heights(histogram_path(histogram(-0.9, 0.9, [100] * BINS), -1, 1))
    assert set(found[1:-1]) == {BAR_HEIGHT}
    assert 0 < found[0] == found[-1] < BAR_HEIGHT


def test_the_largest_doubles_are_no_farther_apart_than_others():
    largest = np.finfo(np.float64).max
    assert set(heights(histogram_path(histogram(-largest, largest, [3] * BINS), -largest, largest))) == {BAR_HEIGHT}


def test_before_and_after_have_one_axis():
    drawing = before_and_after(histogram(0, 0, [1] + [0] * (BINS - 1)), histogram(-1, 1, [1] * BINS))
    assert heights(drawing.before).index(BAR_HEIGHT) == BARS // 2
    assert set(heights(drawing.path)) == {BAR_HEIGHT}


def test_without_a_finite_number_nothing_is_drawn():
    assert distribution(None) == before_and_after(None, None) == ""


def test_a_series_goes_from_left_to_right_and_its_largest_to_the_top():
    points = [tuple(map(int, point.split())) for point in series_path([0, 2, 4], 4)[1:].split("L")]
    assert points == [(0, HEIGHT), (WIDTH // 2, HEIGHT // 2), (WIDTH, 0)]


def test_a_series_of_many_layers_is_drawn_by_some_of_them():
    path = series_path(list(accumulate([1.0] * 10_000)), 10_000)
    assert path.count("L") < 100
