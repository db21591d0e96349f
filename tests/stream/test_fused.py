"""Laws side by side: an element has the law of the part that it lies in, and the random numbers of its index."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from initctl.stream import Fused, Normal, TruncNormal, Uniform
from initctl.stream.draws import Draws

DRAWS = Draws.of(0, "qkv.weight")
LAWS = (Normal(0, 1), Uniform(5, 6), TruncNormal(-20, 1, -22, -18))
SIZES = (4, 1, 2)
ENDS = (4, 5, 7)


def whole(law, shape):
    return law.values(DRAWS, 0, int(np.prod(shape))).reshape(shape)


@pytest.mark.parametrize(
    ("shape", "axis"), [((7, 30), 0), ((30, 7), 1), ((3, 7, 5), 1), ((7,), 0), ((2, 3, 7, 4, 5), 2)], ids=str
)
def test_each_part_along_a_dim_has_the_values_that_its_law_has_there_in_a_tensor_of_its_own(shape, axis):
    values = whole(Fused(LAWS, ENDS, int(np.prod(shape[axis + 1 :]))), shape)
    expected = [np.split(whole(law, shape), ENDS[:-1], axis)[part] for part, law in enumerate(LAWS)]
    np.testing.assert_array_equal(values, np.concatenate(expected, axis), strict=True)


@given(st.integers(1, 6), st.integers(0, 2**40), st.integers(0, 40), st.integers(0, 80))
def test_the_same_element_has_the_same_value_whatever_range_it_is_asked_for_in(inner, start, skipped, length):
    law = Fused(LAWS, ENDS, inner)
    everything = law.values(DRAWS, start, start + skipped + length)
    np.testing.assert_array_equal(law.values(DRAWS, start + skipped, start + skipped + length), everything[skipped:])


@given(st.integers(1, 6), st.integers(0, 2**62), st.integers(0, 80))
def test_runs_follow_each_other_and_hold_the_law_of_each_of_their_elements(inner, start, length):
    law, reached = Fused(LAWS, ENDS, inner), start
    for part, first, last in law.runs(start, start + length):
        assert first == reached < last
        places = {index // inner % 7 for index in range(first, last)}
        number = LAWS.index(part)
        assert places <= set(range(ENDS[number] - SIZES[number], ENDS[number]))
        reached = last
    assert reached == start + length


def test_the_largest_of_its_laws_bounds_it_and_the_smallest_of_its_parts_is_its_shortest_run():
    law = Fused(LAWS, ENDS, 10)
    assert law.largest == 22
    assert law.shortest == 10
