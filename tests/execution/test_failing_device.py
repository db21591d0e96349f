"""A device that fails at any tensor leaves the old checkpoint whole. torch computes as on a GPU, on the processor."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING

import pytest
import torch

import initctl
from initctl.stream.engines.choosing import Choice
from initctl.stream.engines.device import TorchDraws, TorchEngine
from initctl.stream.engines.engine import Engine
from tests.commit.folders import contents
from tests.execution.checkpoints import sharded, single

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

RULES = ["*.weight=normal:std=0.02", "*.bias=uniform"]
TENSORS = 6
FAULTS = {
    "memory": torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
    "lost": RuntimeError(
        "CUDA error: device-side assert triggered\nCUDA kernel errors might be asynchronously reported"
    ),
}


@pytest.fixture
def failing_at(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, object]]:
    """Which tensor the device fails at, and the error."""
    engine, words, given = (
        TorchEngine("cpu", Engine()),
        TorchDraws.words,
        {"number": 0, "error": None, "calls": count(1)},
    )

    def drawn(self: TorchDraws, *place: int, **options: int):
        if next(given["calls"]) == given["number"]:
            raise given["error"]
        return words(self, *place, **options)

    monkeypatch.setattr(TorchDraws, "words", drawn)
    monkeypatch.setattr("initctl.filling.engines.choose", lambda *_, **__: Choice(engine, "for this test"))
    return given


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize(
    ("make", "how"),
    [(single, {"in_place": True}), (sharded, {"in_place": True}), (sharded, {}), (single, {"in_place": "patch"})],
)
def test_wherever_it_fails_the_old_checkpoint_is_whole(tmp_path: Path, failing_at, fault: str, make, how: dict):
    for number in range(1, TENSORS + 2):
        folder = tmp_path / str(number)
        path = make(folder / "model")
        before = contents(folder)
        failing_at |= {"number": number, "error": FAULTS[fault], "calls": count(1)}
        output = None if how else folder / "out"
        if number > TENSORS:
            initctl.apply(path, output, rules=RULES, threads=1, **how)
            break
        with pytest.raises(initctl.InitctlError, match=f"torch on cpu: {FAULTS[fault]}".partition("\n")[0]) as raised:
            initctl.apply(path, output, rules=RULES, threads=1, **how)
        if how.get("in_place") == "patch":
            assert raised.value.exit_status == 7
            initctl.apply(path, in_place="resume", threads=1)
            assert initctl.verify(path, rules=RULES, threads=1)
        else:
            assert raised.value.exit_status == 5
            assert contents(folder) == before
