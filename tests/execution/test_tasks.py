"""Tasks make up the whole file, and refuse what an initializer from elsewhere may give."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import initctl
from initctl.dtypes import BY_NAME
from initctl.execution.tasks import COPIED_AT_ONCE, FILLED_AT_ONCE, copy_tasks, fill_tasks
from initctl.filling.computer import Computer
from initctl.filling.targets import TargetBlock, packed, range_of
from initctl.formats import read_checkpoint
from initctl.layout.ranges import ByteRange, covered, total, uncovered
from initctl.planning import Action
from initctl.rules import parse_rule
from initctl.stream import Constant
from initctl.stream.engines import Engine
from initctl.tensors import TensorSpec
from tests.commit.folders import snapshot
from tests.execution.checkpoints import single

if TYPE_CHECKING:
    from pathlib import Path

COMPUTER = Computer(0, {"cpu": Engine()})
SIZES = st.sampled_from([0, 1, 2, 5, FILLED_AT_ONCE - 1, FILLED_AT_ONCE, FILLED_AT_ONCE + 1, 3 * FILLED_AT_ONCE])
GAPS = st.sampled_from([0, 1, 100, COPIED_AT_ONCE - 1, COPIED_AT_ONCE, COPIED_AT_ONCE + 1, 2 * COPIED_AT_ONCE + 7])
DTYPES = st.sampled_from(["uint8", "bfloat16", "float32", "complex64"])


def action(dtype: str, numel: int, offset: int, device: str = "cpu") -> Action:
    spec = TensorSpec.contiguous(f"t{offset}", BY_NAME[dtype], (numel,), "file", offset)
    return Action(spec, parse_rule("*=zeros", "rule 1"), "zeros", {}, {}, Constant(0), device)


def target(action: Action) -> TargetBlock:
    return TargetBlock(action, action.tensor.blocks[0], action.law)


def filled(*actions: Action) -> list:
    return list(fill_tasks(map(target, actions), COMPUTER, -1))


def grouped(*actions: Action) -> list:
    """What each task computes."""
    return list(packed(COMPUTER.runs(map(target, actions)), FILLED_AT_ONCE))


@given(tensors=st.lists(st.tuples(GAPS, DTYPES, SIZES), max_size=4), rest=GAPS, order=st.randoms())
@settings(deadline=None)
def test_tasks_cover_every_byte_of_the_file_once(tensors: list[tuple[int, str, int]], rest: int, order):
    actions, end = [], 0
    for gap, dtype, numel in tensors:
        actions.append(action(dtype, numel, end + gap))
        end += gap + actions[-1].tensor.nbytes
    order.shuffle(actions)
    ruled = covered((target(a).block, target(a).width) for a in actions)
    kept = uncovered(end + rest, ruled)
    assert total(ruled) == sum(a.tensor.nbytes for a in actions)
    reached = 0
    for task in sorted([*copy_tasks(-1, kept, -1), *filled(*actions)], key=lambda task: task.offset):
        assert task.offset == reached
        assert task.nbytes
        reached += task.nbytes
    assert reached == end + rest


@given(numel=SIZES, dtype=DTYPES)
@settings(deadline=None)
def test_no_task_is_large(numel: int, dtype: str):
    assert all(task.nbytes <= COPIED_AT_ONCE for task in copy_tasks(-1, [ByteRange(7, 3 * COPIED_AT_ONCE)], -1))
    assert all(task.nbytes <= FILLED_AT_ONCE for task in filled(action(dtype, numel, 0)))


@given(dtypes=st.lists(DTYPES, min_size=1, max_size=3), numel=st.sampled_from([1, 5, 100_001, 1_000_003]))
@settings(deadline=None)
def test_a_task_is_computed_in_parts_that_an_engine_likes(dtypes: list[str], numel: int):
    actions, end = [], 0
    for dtype in dtypes:
        actions.append(action(dtype, numel, end))
        end += actions[-1].tensor.nbytes
    reached = 0
    for adjoining in grouped(*actions):
        for runs, content in COMPUTER.parts(adjoining):
            assert runs[0].offset == reached
            assert 0 < len(content) <= Engine().buffer().size
            reached += len(content)
        assert reached == range_of(adjoining).stop
    assert reached == end


def test_small_tensors_that_adjoin_are_one_task():
    adjoining = [action("bfloat16", 100, 200 * i) for i in range(1000)]
    (task,) = filled(*adjoining)
    (group,) = grouped(*adjoining)
    assert (task.offset, task.nbytes, len(group)) == (0, 200_000, 1000)
    assert [runs[0].offset for runs, _ in COMPUTER.parts(group)] == [0]
    assert len(filled(*adjoining[:3], *adjoining[4:])) == 2
    assert len(filled(*adjoining[:3], action("bfloat16", 100, 600, device="cuda"))) == 2


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
    (task,) = fill_tasks([target(given)], COMPUTER, -1)
    with pytest.raises(initctl.FitError, match=r"given: did not return \d+ finite numbers; fix the package"):
        task.run()
    assert snapshot(tmp_path) == before
