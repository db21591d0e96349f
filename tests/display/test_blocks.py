"""Blocks are as high as their numbers are large."""

from __future__ import annotations

from math import inf

import pytest

from initctl.display.blocks import blocks


@pytest.mark.parametrize(
    ("values", "drawn"),
    [
        ([], ""),
        ([0, 0], "  "),
        (range(9), " ▁▂▃▄▅▆▇█"),
        ([1, 1_000_000], "▁█"),
        ([5e-324, 1.7e308, 1.7e308 / 2], "▁█▄"),
        ([0.0, 1.0, inf, inf], " ▁██"),
    ],
)
def test_what_is_not_0_can_be_seen_and_the_largest_is_a_full_block(values: list[float], drawn: str):
    assert blocks(values) == drawn
