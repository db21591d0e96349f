"""Fans: torch's, or what a layout says."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.init import _calculate_fan_in_and_fan_out

from initctl.initializers import Fans, Unfit, fans
from initctl.initializers.fans import layout_of

shapes = st.lists(st.integers(0, 9), min_size=2, max_size=6).map(tuple)


@given(shapes)
def test_fans_are_torchs(shape):
    assert fans(shape) == _calculate_fan_in_and_fan_out(torch.empty(shape, device="meta"))


@given(shapes)
def test_torchs_own_layout_may_be_written_out(shape):
    assert fans(shape, "oi" + "k" * (len(shape) - 2)) == fans(shape)


@given(shapes, st.data())
def test_permuting_dims_and_layout_together_changes_nothing(shape, data):
    order = data.draw(st.permutations(range(len(shape))))
    letters = layout_of(shape, None)
    permuted = tuple(shape[axis] for axis in order)
    assert fans(permuted, "".join(letters[axis] for axis in order)) == fans(shape)


@pytest.mark.parametrize(
    ("shape", "layout", "expected"),
    [
        ((768, 2304), "io", Fans(768, 2304)),
        ((8, 512, 256), "boi", Fans(256, 512)),
        ((8, 256, 512), "bio", Fans(256, 512)),
        ((64, 32, 3, 5), "oikk", Fans(32 * 15, 64 * 15)),
        ((3, 5, 32, 64), "kkio", Fans(32 * 15, 64 * 15)),
        ((2, 3, 8, 4), "bboi", Fans(4, 8)),
        ((4, 2, 6), "ooi", Fans(6, 8)),
        ((10, 20, 30), "iio", Fans(200, 30)),
        ((7, 5), "oi", Fans(5, 7)),
    ],
)
def test_a_layout_says_what_each_dim_stands_for(shape, layout, expected):
    assert fans(shape, layout) == expected


@pytest.mark.parametrize(("shape", "dims"), [((), "0 dims"), ((5,), "1 dim")])
@pytest.mark.parametrize("layout", [None, "oi"])
def test_fewer_than_two_dims_have_no_fans(shape, dims, layout):
    with pytest.raises(Unfit, match=f"^inputs and outputs take at least 2 dims, and it has {dims}$"):
        fans(shape, layout)


@pytest.mark.parametrize(("shape", "layout"), [((4, 3), "boi"), ((4, 3, 2), "oi")])
def test_a_layout_has_one_letter_a_dim(shape, layout):
    with pytest.raises(Unfit, match=f"^layout={layout} has {len(layout)} letters for {len(shape)} dims$"):
        fans(shape, layout)
