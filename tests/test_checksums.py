"""Checksums of pieces, put together, are those of the whole."""

from __future__ import annotations

import zipfile
import zlib
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import initctl
from initctl.checksums import Sums, sum_tasks
from initctl.layout.ranges import ByteRange
from initctl.workers import Workers

if TYPE_CHECKING:
    from pathlib import Path

_START = 70


@st.composite
def cut(draw: st.DrawFn) -> tuple[bytes, list[tuple[int, int]]]:
    """Bytes, and ranges that they are made of, in any order."""
    content = draw(st.binary(min_size=1))
    edges = draw(st.sets(st.integers(1, len(content))))
    return content, draw(st.permutations(list(pairwise(sorted({0, *edges, len(content)})))))


def added(content: bytes, pieces: list[tuple[int, int]]) -> Sums:
    sums = Sums()
    for start, stop in pieces:
        sums.add(_START + start, memoryview(content)[start:stop])
    return sums


@given(cut())
def test_pieces_in_any_order_make_the_checksum_of_the_whole(case: tuple[bytes, list[tuple[int, int]]]):
    content, pieces = case
    assert added(content, pieces).of(_START, _START + len(content)) == zlib.crc32(content)


@given(cut())
def test_without_one_piece_there_is_no_checksum(case: tuple[bytes, list[tuple[int, int]]]):
    content, pieces = case
    assert added(content, pieces[1:]).of(_START, _START + len(content)) is None


def test_a_piece_that_goes_on_beyond_a_range_makes_no_checksum_of_it():
    assert added(b"abc", [(0, 3)]).of(_START, _START + 2) is None


@pytest.mark.parametrize("threads", [1, 2])
def test_a_tensor_that_is_computed_in_many_pieces_gets_the_checksum_of_its_record(tmp_path: Path, threads: int):
    path = tmp_path / "model.pt"
    tensors = {"weight": torch.zeros(9_000_001), "bias": torch.zeros(3), "kept": torch.ones(5_000_000)}
    torch.save(tensors, path)
    initctl.apply(path, in_place=True, rules=["weight=normal", "bias=uniform"], threads=threads)
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None


def test_what_is_in_no_piece_is_read_by_any_number_of_threads_and_range_by_range(tmp_path: Path):
    content = bytes(range(256)) * 400
    (tmp_path / "file").write_bytes(content)
    sums, sections = Sums(), [ByteRange(start, start + 20) for start in range(0, len(content), 20)]
    for start, stop in (sections[3], (sections[5].start + 7, sections[5].start + 9)):
        sums.add(start, memoryview(content)[start:stop])
    with (tmp_path / "file").open("rb") as file, Workers(4, None) as workers:
        workers.run(sum_tasks(file.fileno(), sections, sums))
        assert sums.gaps(sections) == []
    assert [sums.of(*section) for section in sections] == [zlib.crc32(content[slice(*section)]) for section in sections]
