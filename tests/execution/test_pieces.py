"""Pieces refuse what an initializer from elsewhere may give, and whole tensors are computed one at a time."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pytest

import initctl
from initctl.execution import pieces
from initctl.execution.workers import Workers
from initctl.formats import read_checkpoint
from initctl.planning import Action
from initctl.rules import parse_rule
from tests.commit.folders import snapshot
from tests.execution.checkpoints import single

if TYPE_CHECKING:
    from pathlib import Path

    from initctl.tensors import TensorSpec


@dataclass
class Given:
    """A fill that gives the same values whatever it is asked for."""

    given: np.ndarray
    needs_whole: bool = True
    largest: float = 1.0

    def values(self, draws, start, stop):
        return self.given


def large_tensor(path: Path) -> TensorSpec:
    return max(read_checkpoint(path).tensors, key=lambda tensor: tensor.numel)


def action(path: Path, fill: object) -> Action:
    tensor = large_tensor(path)
    return Action(tensor, parse_rule("*=given", "rule 1"), "given", {}, {}, fill)


@pytest.mark.parametrize("fault", ["too few", "too many", "NaN", "infinite", "a column"])
def test_values_other_than_one_finite_number_an_element_are_refused(tmp_path: Path, fault: str):
    path = single(tmp_path / "model.safetensors")
    count = large_tensor(path).numel
    right = np.zeros(count, np.float32)
    wrong = {
        "too few": right[1:],
        "too many": np.zeros(count + 1, np.float32),
        "NaN": right + np.float32("nan"),
        "infinite": right + np.float32("inf"),
        "a column": right.reshape(-1, 1),
    }
    before = snapshot(tmp_path)
    (piece,) = pieces._filled(action(path, Given(wrong[fault])), seed=0)
    with pytest.raises(initctl.FitError, match=r"given: gave other than \d+ finite numbers; mend the package"):
        piece.write(-1, -1)
    assert snapshot(tmp_path) == before


class WholeTensor:
    """A piece that notes how many of its kind are at work."""

    nbytes = 1
    is_whole_tensor = True
    at_work = 0
    most = 0

    def write(self, source: int, destination: int) -> None:
        cls = type(self)
        cls.at_work += 1
        cls.most = max(cls.most, cls.at_work)
        threading.Event().wait(0.01)
        cls.at_work -= 1


def test_whole_tensors_are_computed_one_at_a_time_whatever_the_threads():
    Workers(8).write([WholeTensor() for _ in range(8)], -1, -1)
    assert WholeTensor.most == 1
