"""Philox4x32-10: Random123's known answers, and how element indices become counters."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from initctl.stream.key import Key
from initctl.stream.philox import LANES, block_words, philox
from tests.stream.philox_by_hand import philox_by_hand

ONES = 0xFFFFFFFF
KNOWN_ANSWERS = [
    ((0, 0), (0, 0, 0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    ((ONES, ONES), (ONES, ONES, ONES, ONES), (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    (
        (0xA4093822, 0x299F31D0),
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
]

word32 = st.integers(0, ONES)


def encrypted(key, *counters):
    """The words of each counter, as rows of whole numbers."""
    columns = philox(*map(np.uint64, key), tuple(np.array(counters, np.uint64).T))
    return np.array(columns).astype(np.uint32).T.tolist()


@pytest.mark.parametrize(("key", "counter", "words"), KNOWN_ANSWERS)
def test_the_known_answers_of_random123_hold(key, counter, words):
    assert encrypted(key, counter) == [list(words)]


@pytest.mark.parametrize(("key", "counter", "words"), KNOWN_ANSWERS)
def test_the_reference_by_hand_knows_them_too(key, counter, words):
    assert philox_by_hand(key, counter) == words


@given(st.tuples(word32, word32), st.lists(st.tuples(word32, word32, word32, word32), min_size=1, max_size=5))
def test_any_counters_are_encrypted_as_by_hand_and_apart_from_each_other(key, counters):
    assert encrypted(key, *counters) == [list(philox_by_hand(key, counter)) for counter in counters]


@pytest.mark.parametrize("first", [0, 1, 2**32 - 2, 2**32, 2**40 + 5, 2**61])
@pytest.mark.parametrize("stream", [0, 1, 7])
def test_a_block_is_its_number_in_two_words_then_zero_then_the_stream(first, stream):
    key = Key(1, 2)
    words = block_words(key, first, first + 4, stream)
    blocks = range(first, first + 4)
    assert words.reshape(-1, LANES).tolist() == [
        list(philox_by_hand(key, (block % 2**32, block // 2**32, 0, stream))) for block in blocks
    ]


def test_words_are_32_bits_wide_and_no_blocks_have_none():
    assert block_words(Key(0, 0), 3, 5, 0).dtype == np.uint32
    assert block_words(Key(0, 0), 3, 3, 0).shape == (0,)


def test_every_bit_of_key_and_counter_changes_about_half_of_the_bits_that_come_out():
    inputs = np.array([0x01234567, 0x89ABCDEF, 0x02468ACE, 0x13579BDF, 0xDEADBEEF, 0x0BADF00D])
    unchanged = np.array(encrypted(inputs[:2], inputs[2:]), np.uint32)
    flipped = []
    for bit in range(inputs.size * 32):
        changed = inputs.copy()
        changed[bit // 32] ^= 1 << bit % 32
        words = np.array(encrypted(changed[:2], changed[2:]), np.uint32) ^ unchanged
        flipped.append(np.bitwise_count(words).sum())
    assert min(flipped) > 40
    assert max(flipped) < 90
    assert np.mean(flipped) == pytest.approx(64, abs=2)
