"""Wherever the power is lost, the disk holds the old result or the new one; and every flush that matters is needed."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tests.protocol.power import flushes, losses, recorded
from tests.protocol.scenarios import SCENARIOS, Stage

if TYPE_CHECKING:
    from pathlib import Path

ALL = bool(os.environ.get("INITCTL_ALL_FAULTS"))
QUICK = [name for name in SCENARIOS if ALL or not ("directory" in name or name == "patch of a torch file")]
"""Others have some ten thousand images each."""

pytestmark = pytest.mark.filterwarnings("ignore::initctl.InitctlWarning")


@pytest.mark.parametrize("name", QUICK)
def test_after_a_loss_of_power_the_old_or_the_new_is_there_and_after_success_the_new(tmp_path: Path, name: str):
    stage = Stage(SCENARIOS[name], tmp_path / "play")
    recording = recorded(stage)
    for is_weak in (False, True):
        found = losses(stage, recording, is_weak=is_weak)
        assert found.images > 50
        assert found.faults == []


NEEDED = [
    "file in place", "file to a new file, no clobber", "torch file in place", "file to new shards",
    "one shard in place", "all shards in place", "patch of a file", "patch of a torch file", "saved plan",
]  # fmt: skip


@pytest.mark.parametrize("name", NEEDED)
def test_without_any_one_flush_something_would_be_lost(tmp_path: Path, name: str):
    stage = Stage(SCENARIOS[name], tmp_path / "play")
    recording = recorded(stage)
    for number, flush in flushes(recording):
        events = [event for other, event in enumerate(recording.events) if other != number]
        assert losses(stage, recording, events, is_weak=True).faults, f"{flush.caller} is not needed"
