"""Whatever fails, and whenever a process is killed: the old result or the new one is there, and nothing is left."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from initctl.commit import effects
from tests.protocol.faults import KINDS, RARE, sampled, sweep
from tests.protocol.scenarios import SCENARIOS, Stage

ALL = bool(os.environ.get("INITCTL_ALL_FAULTS"))
"""Every fault at every call, as `python -m tests.protocol` does. Otherwise each fault is tried at some calls."""
TRIES = {"KILL": 12, "KILL after": 6, "EIO": 12} | dict.fromkeys(RARE, 1)
_OTHER_TRIES = 3

pytestmark = [
    pytest.mark.filterwarnings("ignore::initctl.InitctlWarning"),
    pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork"),
]


@pytest.mark.parametrize("name", SCENARIOS)
def test_no_fault_at_any_call_leaves_a_mix_or_a_lost_success_or_a_leftover(tmp_path: Path, name: str):
    stage = Stage(SCENARIOS[name], tmp_path / "play")
    for kind in KINDS:
        numbers = None if ALL else sampled(stage, TRIES.get(kind, _OTHER_TRIES), f"{name} {kind}")
        runs, violations = sweep(stage, kind, numbers)
        assert runs
        assert violations == []


class TestTheSweepSees:
    """The checks above see what they are to see."""

    def violation(self, tmp_path: Path, name: str, kind: str) -> str:
        """One of them, from the last call on: much must have happened for some."""
        stage = Stage(SCENARIOS[name], tmp_path / "play")
        tried = (sweep(stage, kind, [number])[1] for number in reversed(sampled(stage, 1000, "all")))
        return next((found[0] for found in tried if found), "")

    def test_a_file_that_is_written_over_the_old_one(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
        def copied(path: str, target: str, **_: object) -> None:
            content = Path(path).read_bytes()
            descriptor = effects.create(target, mode=0o600, may_exist=True)
            effects.write(descriptor, content[: len(content) // 2], 0)
            effects.write(descriptor, content[len(content) // 2 :], len(content) // 2)
            effects.close(descriptor)

        monkeypatch.setattr("initctl.commit.staging.replace_file", copied)
        assert "a mix" in self.violation(tmp_path, "file in place", "KILL")

    def test_a_leftover(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setattr("initctl.commit.staging.discard", lambda _: None)
        monkeypatch.setattr("initctl.commit.staging.is_there", lambda _: False)
        assert "left" in self.violation(tmp_path, "file in place", "ENOSPC")

    def test_a_patch_without_its_journal(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setattr("initctl.execution.journal.Journal.begin", lambda self: setattr(self, "is_begun", True))
        monkeypatch.setattr("initctl.execution.journal.Journal.end", lambda _: None)
        assert "a mix" in self.violation(tmp_path, "patch of shards", "KILL after")

    def test_a_short_write_that_is_taken_for_a_whole_one(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setattr(
            "initctl.commit.copying.write_all", lambda descriptor, data, offset: effects.write(descriptor, data, offset)
        )
        monkeypatch.setattr(
            "initctl.execution.writer.write_all", lambda d, data, offset: effects.write(d, data, offset)
        )
        monkeypatch.setattr("initctl.execution.tasks.write_all", lambda d, data, offset: effects.write(d, data, offset))
        assert self.violation(tmp_path, "file in place", "short")
