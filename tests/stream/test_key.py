"""Keys: seed and name, hashed."""

from __future__ import annotations

from hashlib import blake2b

import pytest
from hypothesis import given
from hypothesis import strategies as st

from initctl.stream.key import SEED_LIMIT, Key, stream_key

seeds = st.integers(0, SEED_LIMIT - 1)
names = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


def test_the_key_that_the_design_prints():
    assert stream_key(0, "fc1.weight") == Key(2946519589, 508843843)


@given(seeds, names)
def test_a_key_is_the_two_little_endian_halves_of_a_keyed_hash(seed, name):
    message = seed.to_bytes(8, "little") + name.encode("utf-8")
    digest = int.from_bytes(blake2b(message, digest_size=8, person=b"initctl.v1").digest(), "little")
    assert stream_key(seed, name) == (digest % 2**32, digest // 2**32)


def test_seed_and_name_both_count():
    keys = {stream_key(seed, name) for seed in (0, 1, 256, SEED_LIMIT - 1) for name in ("", "a", "b", "ä", "a.b")}
    assert len(keys) == 20


def test_names_that_look_alike_in_another_normal_form_are_other_names():
    assert stream_key(0, "\u00e4") != stream_key(0, "a\u0308")


@pytest.mark.parametrize("seed", [-1, SEED_LIMIT])
def test_a_seed_outside_64_bits_is_no_seed(seed):
    with pytest.raises(OverflowError):
        stream_key(seed, "w")
