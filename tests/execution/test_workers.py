"""Pieces make up the whole file, and threads write each of them once or stop together."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from initctl.dtypes import BY_NAME
from initctl.execution.pieces import COPIED_AT_ONCE, FILLED_AT_ONCE, FilledPiece, KeptPiece, pieces
from initctl.execution.workers import Progress, Workers, default_threads
from initctl.initializers.structured import Orthogonal
from initctl.planning import Action
from initctl.rules import parse_rule
from initctl.stream import Constant
from initctl.tensors import TensorSpec

if TYPE_CHECKING:
    from collections.abc import Iterator

    from initctl.stream import Fill

SIZES = st.sampled_from([0, 1, 2, 5, FILLED_AT_ONCE - 1, FILLED_AT_ONCE, FILLED_AT_ONCE + 1, 3 * FILLED_AT_ONCE])
GAPS = st.sampled_from([0, 1, 100, COPIED_AT_ONCE - 1, COPIED_AT_ONCE, COPIED_AT_ONCE + 1, 2 * COPIED_AT_ONCE + 7])
DTYPES = st.sampled_from(["uint8", "bfloat16", "float32", "complex64"])


def action(dtype: str, numel: int, offset: int, fill: Fill | None = None) -> Action:
    width = BY_NAME[dtype].bits // 8
    spec = TensorSpec(f"t{offset}", BY_NAME[dtype], (numel,), "file", offset, numel * width)
    return Action(spec, parse_rule("*=zeros", "rule 1"), "zeros", {}, {}, fill or Constant(0))


def extent(piece: KeptPiece | FilledPiece) -> tuple[int, int]:
    """The bytes of the file that `piece` makes."""
    if isinstance(piece, KeptPiece):
        return piece.start, piece.stop
    tensor = piece.action.tensor
    width = tensor.nbytes // tensor.numbers
    return tensor.offset + piece.start * width, tensor.offset + piece.stop * width


@given(tensors=st.lists(st.tuples(GAPS, DTYPES, SIZES), max_size=4), rest=GAPS, order=st.randoms())
def test_pieces_cover_every_byte_of_the_file_once(tensors: list[tuple[int, str, int]], rest: int, order):
    actions, end = [], 0
    for gap, dtype, numel in tensors:
        actions.append(action(dtype, numel, end + gap))
        end += gap + actions[-1].tensor.nbytes
    filled = sum(a.tensor.nbytes for a in actions)
    order.shuffle(actions)
    made = list(pieces(end + rest, actions, seed=0))
    reached = 0
    for piece in made:
        start, stop = extent(piece)
        assert start == reached < stop
        assert piece.nbytes == stop - start
        reached = stop
    assert reached == end + rest
    assert sum(piece.nbytes for piece in made if isinstance(piece, FilledPiece)) == filled


@given(numel=SIZES, dtype=DTYPES)
def test_no_piece_is_large(numel: int, dtype: str):
    made = list(pieces(numel * 8 + COPIED_AT_ONCE * 3, [action(dtype, numel, 0)], seed=0))
    assert all(p.nbytes <= COPIED_AT_ONCE for p in made if isinstance(p, KeptPiece))
    assert all(p.stop - p.start <= FILLED_AT_ONCE for p in made if isinstance(p, FilledPiece))


def test_a_law_that_needs_the_whole_tensor_is_one_piece():
    fill = Orthogonal((1024, 1024), (0, 1), 1, 1024, 1024, 1.0)
    assert len(list(pieces(4 * 1024**2, [action("float32", 1024**2, 0, fill)], seed=0))) == 1


class Recorded:
    """A piece of one byte that remembers who wrote it, waits for another thread if told to, or fails."""

    nbytes = 1
    is_whole_tensor = False

    def __init__(self, log: list[str], *, together: threading.Barrier | None = None, fails: bool = False) -> None:
        self.log, self.together, self.fails = log, together, fails

    def write(self, source: int, destination: int) -> None:
        if self.together:
            self.together.wait(timeout=30)
        if self.fails:
            raise RuntimeError("broken")
        self.log.append(threading.current_thread().name)


@pytest.mark.parametrize("threads", [1, 2, 7])
def test_as_many_threads_as_asked_for_write_at_the_same_time(threads: int):
    log: list[str] = []
    together = threading.Barrier(threads)
    Workers(threads).write([Recorded(log, together=together) for _ in range(3 * threads)], -1, -1)
    assert len(log) == 3 * threads
    assert len(set(log)) == threads


def test_progress_is_told_by_the_callers_thread_and_ends_with_the_total():
    told, teller = [], set()

    def on_progress(progress: Progress) -> None:
        told.append(progress)
        teller.add(threading.current_thread())

    workers = Workers(3, on_progress)
    workers.expect(30)
    for _ in range(2):  # files
        workers.write([Recorded([]) for _ in range(15)], -1, -1)
    assert told[-1] == Progress(30, 30)
    assert [progress.done for progress in told] == sorted(progress.done for progress in told)
    assert teller == {threading.current_thread()}


def test_a_failure_is_raised_when_no_thread_is_at_work_and_ends_the_rest():
    handed_out: list[int] = []

    def endless() -> Iterator[Recorded]:
        while True:
            handed_out.append(1)
            yield Recorded([], fails=len(handed_out) == 10)

    with pytest.raises(RuntimeError, match="broken"):
        Workers(2).write(endless(), -1, -1)
    assert len(handed_out) < 20
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("initctl")]


def test_pieces_are_made_only_as_they_are_needed():
    alive = []

    def counted() -> Iterator[Recorded]:
        for number in range(100):
            alive.append(number)
            yield Recorded([])

    def stop(_: Progress) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Workers(3, stop).write(counted(), -1, -1)
    assert len(alive) == 6


def test_by_default_there_are_as_many_threads_as_this_process_may_use_processors(monkeypatch: pytest.MonkeyPatch):
    if hasattr(os, "sched_getaffinity"):
        assert default_threads() == len(os.sched_getaffinity(0))
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    assert default_threads() == os.cpu_count()
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert default_threads() == 1
