"""Pieces make up the whole file, and refuse what an initializer from elsewhere may give."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import initctl
from initctl.dtypes import BY_NAME
from initctl.execution.pieces import COPIED_AT_ONCE, FILLED_AT_ONCE, filled_pieces, kept_pieces
from initctl.filling import Filler, Target
from initctl.filling.ranges import extent, filled_ranges, joined, kept_ranges
from initctl.formats import read_checkpoint
from initctl.planning import Action
from initctl.rules import parse_rule
from initctl.stream import Constant
from initctl.stream.engines import NumpyEngine
from initctl.tensors import TensorSpec
from tests.commit.folders import snapshot
from tests.execution.checkpoints import single

if TYPE_CHECKING:
    from pathlib import Path

FILLER = Filler(0, {"cpu": NumpyEngine()})
SIZES = st.sampled_from([0, 1, 2, 5, FILLED_AT_ONCE - 1, FILLED_AT_ONCE, FILLED_AT_ONCE + 1, 3 * FILLED_AT_ONCE])
GAPS = st.sampled_from([0, 1, 100, COPIED_AT_ONCE - 1, COPIED_AT_ONCE, COPIED_AT_ONCE + 1, 2 * COPIED_AT_ONCE + 7])
DTYPES = st.sampled_from(["uint8", "bfloat16", "float32", "complex64"])


def action(dtype: str, numel: int, offset: int, device: str = "cpu") -> Action:
    spec = TensorSpec.contiguous(f"t{offset}", BY_NAME[dtype], (numel,), "file", offset)
    return Action(spec, parse_rule("*=zeros", "rule 1"), "zeros", {}, {}, Constant(0), device)


def target(action: Action) -> Target:
    return Target(action, action.tensor.blocks[0])


def filled(*actions: Action) -> list:
    return list(filled_pieces([(target(a), a.law) for a in actions], FILLER))


@given(tensors=st.lists(st.tuples(GAPS, DTYPES, SIZES), max_size=4), rest=GAPS, order=st.randoms())
def test_pieces_cover_every_byte_of_the_file_once(tensors: list[tuple[int, str, int]], rest: int, order):
    actions, end = [], 0
    for gap, dtype, numel in tensors:
        actions.append(action(dtype, numel, end + gap))
        end += gap + actions[-1].tensor.nbytes
    order.shuffle(actions)
    ruled = filled_ranges((target(a).block, target(a).width) for a in actions)
    kept = kept_ranges(end + rest, ruled)
    assert extent(ruled) == sum(a.tensor.nbytes for a in actions)
    reached = 0
    for piece in sorted([*kept_pieces(-1, kept), *filled(*actions)], key=lambda piece: piece.offset):
        assert piece.offset == reached
        assert piece.nbytes
        reached += piece.nbytes
    assert reached == end + rest


@given(numel=SIZES, dtype=DTYPES)
def test_no_piece_is_large(numel: int, dtype: str):
    assert all(piece.nbytes <= COPIED_AT_ONCE for piece in kept_pieces(-1, [(7, 3 * COPIED_AT_ONCE)]))
    assert all(piece.nbytes <= FILLED_AT_ONCE for piece in filled(action(dtype, numel, 0)))


@given(dtypes=st.lists(DTYPES, min_size=1, max_size=3), numel=st.sampled_from([1, 5, 100_001, 1_000_003]))
def test_a_piece_is_computed_in_parts_that_an_engine_likes(dtypes: list[str], numel: int):
    actions, end = [], 0
    for dtype in dtypes:
        actions.append(action(dtype, numel, end))
        end += actions[-1].tensor.nbytes
    reached = 0
    for piece in filled(*actions):
        for offset, data in FILLER.parts(piece.spans):
            assert offset == reached
            assert 0 < len(data) <= NumpyEngine().buffer().size
            reached += len(data)
        assert reached == piece.offset + piece.nbytes
    assert reached == end


def test_small_tensors_that_adjoin_are_one_piece():
    adjoining = [action("bfloat16", 100, 200 * i) for i in range(1000)]
    (piece,) = filled(*adjoining)
    assert (piece.offset, piece.nbytes, len(piece.spans)) == (0, 200_000, 1000)
    assert [offset for offset, _ in FILLER.parts(piece.spans)] == [0]
    assert len(filled(*adjoining[:3], *adjoining[4:])) == 2
    assert len(filled(*adjoining[:3], action("bfloat16", 100, 600, device="cuda"))) == 2


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)).map(lambda pair: tuple(sorted(pair)))))
def test_joined_ranges_hold_the_same_bytes(ranges: list[tuple[int, int]]):
    apart = [(100 * i + start, 100 * i + stop) for i, (start, stop) in enumerate(ranges)]
    touching = [(start, stop + 100 - stop % 100) for start, stop in apart]
    for given_ranges in (apart, [*apart, *((stop, stop + 100 - stop % 100) for _, stop in apart)], touching):
        covered = sorted(byte for start, stop in given_ranges for byte in range(start, stop))
        result = joined(given_ranges[::-1])
        assert [byte for start, stop in result for byte in range(start, stop)] == covered
        assert all(one[1] < other[0] for one, other in pairwise(result))


@dataclass
class Given:
    """A fill that gives the same values whatever it is asked for."""

    given: np.ndarray
    largest: float = 1.0

    def values(self, draws, start, stop):
        return self.given


@pytest.mark.parametrize("fault", ["too few", "too many", "NaN", "infinite", "a column"])
def test_values_other_than_one_finite_number_an_element_are_refused(tmp_path: Path, fault: str):
    path = single(tmp_path / "model.safetensors")
    tensor = max(read_checkpoint(path).tensors, key=lambda tensor: tensor.numel)
    right = np.zeros(tensor.numel, np.float32)
    wrong = {
        "too few": right[1:],
        "too many": np.zeros(tensor.numel + 1, np.float32),
        "NaN": right + np.float32("nan"),
        "infinite": right + np.float32("inf"),
        "a column": right.reshape(-1, 1),
    }
    before = snapshot(tmp_path)
    law = Given(wrong[fault])
    given = Action(tensor, parse_rule("*=given", "rule 1"), "given", {}, {}, law)
    (piece,) = filled_pieces([(target(given), law)], FILLER)
    with pytest.raises(initctl.FitError, match=r"given: gave other than \d+ finite numbers; mend the package"):
        piece.write(-1)
    assert snapshot(tmp_path) == before
