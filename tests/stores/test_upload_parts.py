from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from initctl.errors import StorageError
from initctl.layout.ranges import ByteRange, common, joined, total, uncovered
from initctl.stores.upload_parts import LIMITS, Limits, UploadPart, cut

MIB, GIB = 1 << 20, 1 << 30
SMALL = Limits(smallest=32, largest=256, most=1_000, usual=64)


def ranges(size):
    """Sorted, disjoint ranges of the bytes of an object."""
    edges = st.lists(st.integers(0, size), max_size=24, unique=True).map(sorted)
    return edges.map(lambda found: [ByteRange(*pair) for pair in zip(found[::2], found[1::2], strict=False)])


@st.composite
def objects(draw):
    """The size of an object, its kept ranges, and its indivisible ones."""
    size = draw(st.integers(1, 4_000))
    return size, draw(ranges(size)), draw(st.one_of(st.just([]), ranges(size)))


def made(parts):
    return sum(part.nbytes for part in parts if not part.is_copied)


def inner_edges(parts):
    return [part.stop for part in parts[:-1]]


@given(objects())
def test_the_parts_are_every_byte_once_in_order(given_object):
    parts = cut(*given_object, SMALL)
    edges = [part.start for part in parts] + [given_object[0]]
    assert edges == [0] + [part.stop for part in parts]


@given(objects())
def test_the_store_accepts_the_size_of_each_part(given_object):
    *others, last = (part.nbytes for part in cut(*given_object, SMALL))
    assert 0 < last <= SMALL.largest
    assert all(SMALL.smallest <= nbytes <= SMALL.largest for nbytes in others)


@given(objects())
def test_only_kept_bytes_are_copied_and_none_of_an_indivisible_range(given_object):
    _, kept, indivisible = given_object
    copied = [ByteRange(*part[:2]) for part in cut(*given_object, SMALL) if part.is_copied]
    assert common(joined(copied), joined(kept)) == joined(copied)
    assert common(joined(copied), indivisible) == []


@given(objects())
def test_at_most_the_smallest_part_is_made_of_kept_bytes_for_each_run_of_others(given_object):
    size, kept, indivisible = given_object
    ruled = uncovered(size, joined(common(kept, uncovered(size, indivisible))))
    assert made(cut(*given_object, SMALL)) <= total(ruled) + SMALL.smallest * len(ruled)


@given(objects())
def test_an_indivisible_range_that_fits_a_part_with_its_neighbors_is_in_one(given_object):
    parts = cut(*given_object, SMALL)
    for start, stop in given_object[2]:
        if any(start < edge < stop for edge in inner_edges(parts)):
            assert stop - start > SMALL.largest - 2 * SMALL.smallest - 16


@given(objects())
def test_made_parts_meet_at_multiples_of_16_or_at_edges_of_indivisible_ranges(given_object):
    parts = cut(*given_object, SMALL)
    edges = {edge for found in given_object[2] for edge in found}
    for one, other in pairwise(parts):
        if not one.is_copied and not other.is_copied:
            assert one.stop % 16 == 0 or one.stop in edges


@given(objects())
def test_the_same_object_is_cut_in_the_same_way(given_object):
    size, kept, indivisible = given_object
    assert cut(*given_object, SMALL) == cut(size, tuple(kept), tuple(indivisible), SMALL)


@given(objects(), st.integers(40, 60))
def test_if_there_are_too_many_parts_more_is_made(given_object, most):
    assert len(cut(*given_object, SMALL._replace(most=most))) <= most


def test_an_object_that_needs_too_many_parts_is_refused():
    with pytest.raises(StorageError, match="2,000 bytes do not fit into the 5 parts of an upload"):
        cut(2_000, [], [], SMALL._replace(most=5))


def test_a_range_in_the_middle_is_made_and_the_rest_is_copied():
    start, stop = 200 * MIB, 207 * MIB
    assert cut(600 * MIB, [ByteRange(0, start), ByteRange(stop, 600 * MIB)]) == [
        UploadPart(0, start, is_copied=True),
        UploadPart(start, stop, is_copied=False),
        UploadPart(stop, 600 * MIB, is_copied=True),
    ]


def test_a_short_range_takes_bytes_from_the_kept_range_after_it():
    parts = cut(600 * MIB, [ByteRange(0, 100 * MIB), ByteRange(100 * MIB + 4, 600 * MIB)])
    assert inner_edges(parts) == [100 * MIB, 105 * MIB]


def test_a_short_range_at_the_end_takes_none():
    assert inner_edges(cut(600 * MIB, [ByteRange(0, 600 * MIB - 4)])) == [600 * MIB - 4]


def test_a_short_kept_range_is_copied_at_the_end_only():
    middle, end = ByteRange(100 * MIB, 100 * MIB + 4), ByteRange(200 * MIB - 4, 200 * MIB)
    assert [part for part in cut(200 * MIB, [middle, end]) if part.is_copied] == [UploadPart(*end, is_copied=True)]


def test_an_object_that_is_kept_is_copied_in_as_few_parts_as_possible():
    parts = cut(11 * GIB, [ByteRange(0, 11 * GIB)])
    assert [(part.nbytes, part.is_copied) for part in parts] == [(5 * GIB, True), (5 * GIB, True), (GIB, True)]


def test_an_object_of_811_gb_has_fewer_parts_than_the_store_allows_and_none_is_large():
    parts = cut(811 * 10**9, [])
    assert 8_900 < len(parts) <= 9_000
    assert max(part.nbytes for part in parts) < 92 * MIB


def test_of_too_many_kept_ranges_the_longest_are_copied():
    starts = [number * 12 * MIB for number in range(20_000)] + [(240 + number) * GIB for number in range(100)]
    size = 340 * GIB  # between the short ranges and the first long one, there is another long one
    ruled = [ByteRange(start, start + 6 * MIB) for start in starts]
    parts = cut(size, uncovered(size, ruled))
    assert len(parts) <= LIMITS.most
    assert sum(part.nbytes > 900 * MIB for part in parts if part.is_copied) == 101


def test_an_empty_object_has_one_empty_part():
    assert cut(0, []) == [UploadPart(0, 0, is_copied=False)]
