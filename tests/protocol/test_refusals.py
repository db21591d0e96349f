"""On a file system that refuses much, each result is wholly new, or wholly old with a status that says so."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

import initctl
from tests.protocol.faults import sampled, sweep
from tests.protocol.refusals import PROFILES
from tests.protocol.scenarios import SCENARIOS, Stage, traces, tree

if TYPE_CHECKING:
    from pathlib import Path

ALL = bool(os.environ.get("INITCTL_ALL_FAULTS"))
KINDS = ("KILL", "EIO", "EIO for ever", "TERM", "ENOSPC and no removal", "EINTR")
TRIES = 5
SAMPLE = [name for name in SCENARIOS if ALL or name in ("file to a new file, no clobber", "patch of shards")]
NEED_EXCHANGE = {
    "shards over a directory", "all shards in place", "component in place", "parts of shards over a directory"
}  # fmt: skip
NEED_LINK = {"file to a new file, no clobber", "patch of a file", "patch of a torch file", "patch of shards"}
"""They must not replace what another process puts there at the same time."""

pytestmark = pytest.mark.filterwarnings("ignore::initctl.InitctlWarning")


def status(stage: Stage) -> int:
    try:
        stage.play()
    except initctl.InitctlError as error:
        return error.exit_status
    return 0


def wanted(name: str, profile: str) -> int:
    """The exit status."""
    if name in NEED_EXCHANGE:
        return 5
    return 5 if profile == "FUSE" and (name in NEED_LINK or SCENARIOS[name].is_in_parts) else 0


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("name", SCENARIOS)
def test_a_result_is_new_or_old_as_the_status_says_and_nothing_is_left(tmp_path: Path, name: str, profile: str):
    stage = Stage(SCENARIOS[name], tmp_path / "play")
    stage.refusals = PROFILES[profile]
    stage.begin()
    found = status(stage)
    assert found == wanted(name, profile)
    assert tree(stage.folder) in (stage.in_place if found in (0, 7) else [stage.old])
    assert traces(stage.folder) == [] or (stage.scenario.is_in_parts and found)


@pytest.mark.parametrize("profile", ["an old kernel", "NFS"])
@pytest.mark.parametrize("name", SAMPLE)
def test_no_fault_at_any_call_that_is_left_leaves_a_mix_or_a_leftover(tmp_path: Path, name: str, profile: str):
    stage = Stage(SCENARIOS[name], tmp_path / "play")
    stage.refusals = PROFILES[profile]
    for kind in KINDS:
        numbers = None if ALL else sampled(stage, TRIES, f"{name} {kind} {profile}")
        runs, violations = sweep(stage, kind, numbers)
        assert runs
        assert violations == []
