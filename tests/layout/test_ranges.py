"""Ranges of bytes are what their sets of bytes are."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from initctl.layout.ranges import ByteRange, common, joined, overlap, total, uncovered

RANGES = st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)).map(lambda pair: ByteRange(*sorted(pair))))


def numbers(ranges: list[ByteRange]) -> set[int]:
    return {byte for start, stop in ranges for byte in range(start, stop)}


@given(RANGES)
def test_joined_ranges_hold_the_same_bytes_in_order_and_apart(ranges: list[ByteRange]):
    result = joined(ranges)
    assert numbers(result) == numbers(ranges)
    assert total(result) == len(numbers(ranges))
    assert all(start < stop for start, stop in result)
    assert all(one.stop < other.start for one, other in pairwise(result))


@given(RANGES, RANGES)
def test_what_ranges_have_in_common_leave_and_overlap_are_intersections_and_the_complement(
    ranges: list[ByteRange], others: list[ByteRange]
):
    one, other = joined(ranges), joined(others)
    assert numbers(common(one, other)) == numbers(one) & numbers(other)
    assert numbers(uncovered(60, one)) == set(range(60)) - numbers(one)
    for start, stop in others:
        assert overlap(one, start, stop) == len(numbers(one) & set(range(start, stop)))
