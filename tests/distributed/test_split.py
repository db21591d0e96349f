"""The split of a result: every byte is in one share, and no share is much larger than the others."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from initctl.distributed import split as splitting
from initctl.distributed.split import Piece, split
from initctl.dtypes import BY_TAG
from initctl.execution.content import Content
from initctl.formats.writing.formats import Layout
from initctl.tensors import Block, TensorPart, TensorSpec

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

STEP = 16
PARTS = st.integers(1, 12)


@pytest.fixture(autouse=True, scope="module")
def small_steps() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(splitting, "STEP", STEP)
        yield


def content(size: int, whole: Sequence[tuple[int, int]] = ()) -> Content:
    """A file of `size` bytes. The ranges that are `whole` are indivisible: a transposed tensor is copied to each."""
    moved = [(TensorPart(transposed((stop - start) // 2)), start) for start, stop in whole]
    return Content(Layout((), {}, size), 0o600, moved=moved)


def transposed(rows: int) -> TensorSpec:
    """A tensor of two columns and of one byte an element."""
    return TensorSpec("t", BY_TAG["U8"], (rows, 2), (Block("f", 0, (0, 0), (rows, 2), (1, rows)),))


@st.composite
def contents(draw: st.DrawFn) -> dict[str, Content]:
    """Files of up to forty steps, with indivisible ranges."""
    found = {}
    for number in range(draw(st.integers(1, 6))):
        size = draw(st.integers(0, 40 * STEP))
        edges = sorted(draw(st.sets(st.integers(0, size // 2), max_size=8)))
        pairs = [(2 * start, 2 * stop) for start, stop in list(pairwise(edges))[::2] if stop - start > 1]
        found[f"f{number}"] = content(size, pairs)
    return found


def pieces(files: Mapping[str, Content], parts: int) -> dict[str, list[Piece]]:
    """All pieces of each file, in order."""
    shares = split(files, parts)
    assert len(shares) == parts
    return {name: sorted(piece for s in shares for piece in s.pieces if piece.file == name) for name in files}


@given(contents(), PARTS)
def test_every_byte_of_every_file_is_in_one_share(files: dict[str, Content], parts: int):
    for name, found in pieces(files, parts).items():
        assert [piece.start for piece in found] == [0, *(piece.stop for piece in found[:-1])]
        assert found[-1].stop == files[name].layout.size


@given(contents(), PARTS)
def test_files_are_cut_at_steps_or_at_the_edges_of_indivisible_ranges_and_never_inside_of_one(
    files: dict[str, Content], parts: int
):
    for name, found in pieces(files, parts).items():
        whole = files[name].indivisible
        edges = {edge for pair in whole for edge in pair}
        for piece in found[1:]:
            assert piece.start % STEP == 0 or piece.start in edges
            assert not any(start < piece.start < stop for start, stop in whole)


@given(contents(), PARTS)
def test_no_share_exceeds_the_mean_by_more_than_a_step_and_an_indivisible_range(files: dict[str, Content], parts: int):
    mean = sum(content.layout.size for content in files.values()) / parts
    longest = max((stop - start for content in files.values() for start, stop in content.indivisible), default=0)
    assert max(share.nbytes for share in split(files, parts)) <= mean + STEP + longest


@given(contents(), PARTS)
def test_a_file_is_not_cut_if_no_part_would_have_more_than_its_fair_share(files: dict[str, Content], parts: int):
    fair = sum(content.layout.size for content in files.values()) / parts
    if all(content.layout.size <= min(fair, STEP) for content in files.values()):
        assert all(len(found) == 1 for found in pieces(files, parts).values())


@given(contents(), PARTS)
def test_it_depends_on_nothing_else(files: dict[str, Content], parts: int):
    assert split(files, parts) == split(dict(files), parts)


@given(st.lists(st.integers(0, STEP), min_size=1, max_size=12), PARTS)
def test_files_are_handed_out_by_size_each_to_the_part_that_has_the_fewest_bytes(sizes: list[int], parts: int):
    loads = [0] * parts
    for size in sorted(sizes, reverse=True):
        loads[loads.index(min(loads))] += size
    shares = split({f"f{number}": content(size) for number, size in enumerate(sizes)}, parts)
    assert sorted(share.nbytes for share in shares) == sorted(loads)


def test_one_large_file_is_cut_into_as_many_pieces_as_there_are_parts():
    shares = split({"f": content(40 * STEP)}, 4)
    assert [share.pieces for share in shares] == [
        [Piece("f", start * STEP, (start + 10) * STEP)] for start in (0, 10, 20, 30)
    ]


def test_an_indivisible_range_that_is_larger_than_a_share_goes_to_one_part():
    shares = split({"f": content(10 * STEP, [(STEP + 2, 9 * STEP + 6)])}, 4)
    assert [share.pieces for share in shares if share.pieces] == [
        [Piece("f", 0, STEP + 2)], [Piece("f", STEP + 2, 9 * STEP + 6)], [Piece("f", 9 * STEP + 6, 10 * STEP)]
    ]  # fmt: skip


def test_parts_without_work_are_last():
    shares = split({"f": content(2 * STEP)}, 4)
    assert [share.nbytes for share in shares] == [STEP, STEP, 0, 0]
