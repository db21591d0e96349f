"""Every element is in one piece, and what is read together is in one stretch of each file."""

from __future__ import annotations

from itertools import pairwise

import pytest

from initctl.dtypes import BY_NAME
from initctl.layout.pieces import AT_ONCE, PIECE, Pieces, grouped
from initctl.tensors import Block, TensorSpec

MOST = 1000
"""Numbers of a small tensor."""
BYTE, BFLOAT16, DOUBLE = (BY_NAME[name] for name in ("uint8", "bfloat16", "float64"))


def at(offset: int, numel: int = 100, *, file: str = "f", dtype=BYTE) -> TensorSpec:
    return TensorSpec.contiguous("t", dtype, (numel,), file, offset)


def transposed(rows: int, columns: int) -> TensorSpec:
    return TensorSpec("t", BYTE, (rows, columns), (Block("f", 0, (0, 0), (rows, columns), (1, rows)),))


def groups(*tensors: tuple[TensorSpec, ...]) -> list[tuple[list[int], bool]]:
    return [tuple(group) for group in grouped(enumerate(tensors), MOST)]


@pytest.mark.parametrize("numel", [1, PIECE // 2, PIECE // 2 + 1, 5 * PIECE])
@pytest.mark.parametrize("tensors", [1, 2])
def test_steps_follow_each_other_from_the_first_element_to_the_last(numel: int, tensors: int):
    pieces = Pieces.of([at(0, numel, dtype=BFLOAT16)] * tensors)
    steps = [step for piece in range(pieces.number) for step in pieces.steps(piece)]
    assert (steps[0][0], steps[-1][1]) == (0, numel)
    assert all(one[1] == other[0] for one, other in pairwise(steps))
    assert max(stop - start for start, stop in steps) * BFLOAT16.width <= AT_ONCE[tensors]
    assert [pieces.bounds(piece)[1] for piece in range(pieces.number)][-1] == numel


def test_of_two_dtypes_the_wider_decides_the_steps():
    pieces = Pieces.of([at(0, 10**7), at(0, 10**7, dtype=DOUBLE)])
    assert (pieces.size, pieces.step) == (PIECE // 8, AT_ONCE[2] // 8)


def test_what_is_not_in_its_order_is_read_a_piece_at_a_time():
    pieces = Pieces.of([transposed(5000, 5000)])
    assert pieces.step == pieces.size > PIECE


def test_small_tensors_that_follow_each_other_in_one_file_are_read_together():
    assert groups((at(0),), (at(100),), (at(300),)) == [([0, 1, 2], True)]


@pytest.mark.parametrize("far", [at(100, file="g"), at(0), at(1 << 20)], ids=["file", "before", "distance"])
def test_what_is_elsewhere_is_read_by_itself(far: TensorSpec):
    assert groups((at(0),), (far,)) == [([0], True), ([1], True)]
    assert groups((at(0), at(0)), (at(100), far)) == [([0], True), ([1], True)]


@pytest.mark.parametrize("large", [at(100, MOST + 1), transposed(3, 4)], ids=["large", "transposed"])
def test_what_is_large_or_in_another_order_is_no_member_of_a_group(large: TensorSpec):
    assert groups((at(0),), (large,), (at(5000),)) == [([1], False), ([0, 2], True)]
    assert groups((at(0), large)) == [([0], False)]
