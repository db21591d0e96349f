"""A small sample of the faults, and that what judges them sees what it is to see. `python -m tests.faults` runs all."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.faults.injecting import Fault, Run, is_possible
from tests.faults.judging import Undisturbed, tree, violations
from tests.faults.scenarios import SCENARIOS, Scenario, one_file
from tests.faults.sweeping import Sweep

if TYPE_CHECKING:
    from pathlib import Path

SAMPLE = ("inspect shards", "file", "plan --save")
RUNS = 75
EIO = Fault("openat", 1, "EIO")
TERM = Fault("openat", 1, "SIGTERM")
FAILED = "initctl: error: net.safetensors: cannot be read: Input/output error\n"


@pytest.mark.skipif(is_possible() is not None, reason=str(is_possible()))
def test_whatever_call_fails_files_are_old_or_new_and_there_is_one_line(tmp_path: Path):
    chosen = [scenario for scenario in SCENARIOS if scenario.name in SAMPLE]
    sweep = Sweep(chosen, tmp_path / "work", seed=1)
    sweep.run(at_most=RUNS)
    assert (sweep.runs, sweep.found) == (RUNS, [])
    statuses = {status for cell in sweep.cells.values() for status in cell.statuses}
    assert {0, 5, 143} <= statuses


@pytest.fixture
def judged(tmp_path: Path):
    """What is found about a run of a command that reads, or of one that changes `net.safetensors` to `new`."""
    one_file(tmp_path)

    def judged(fault: Fault, run: Run, *, new: bytes | None = None, now: bytes | None = None) -> list[str]:
        old = tree(tmp_path)
        mode, _ = old["net.safetensors"]
        of = Undisturbed(old, old if new is None else {"net.safetensors": (mode, new)}, "result")
        if now is not None:
            (tmp_path / "net.safetensors").write_bytes(now)
        return list(violations(Scenario("", (), one_file), fault, run, tmp_path, of))

    return judged


@pytest.mark.parametrize(
    ("run", "found"),
    [
        (Run(0, "result", ""), []),
        (Run(5, "", FAILED), []),
        (Run(7, "", FAILED), []),
        (Run(0, "other", ""), ["X: it succeeds with another result on stdout"]),
        (Run(3, "", FAILED), ["status 3"]),
        (Run(5, "", FAILED * 2), ["2 lines of errors"]),
        (Run(5, "", ""), ["0 lines of errors"]),
        (Run(5, "", f"{FAILED}oh"), ["another line on stderr: oh"]),
        (Run(70, "", FAILED), ["status 70", "it is reported as a bug"]),
        (Run(143, "", FAILED), ["status 143"]),
        (Run(None, "", ""), ["it hangs"]),
    ],
)
def test_a_run_is_judged_by_its_status_and_its_lines(judged, run: Run, found: list[str]):
    assert judged(EIO, run) == found


def test_a_run_is_judged_by_the_files_that_it_leaves(judged):
    ended = Run(143, "", "initctl: error: interrupted by SIGTERM\n")
    assert judged(TERM, ended, new=b"new") == []
    assert judged(TERM, ended, new=b"new", now=b"new") == ["X: status 143, but the files are not the old ones"]
    found = judged(TERM, Run(0, "result", ""), new=b"newer", now=b"mixed")
    assert found[0] == "A, U: neither the old nor the new files: ['net.safetensors']"
    assert found[1:] == ["X: it succeeds without the new files"]


def test_a_staged_file_may_stay_only_if_the_process_was_killed_or_names_it(judged, tmp_path: Path):
    (tmp_path / ".initctl-012345-6-01234567.tmp").touch()
    assert judged(EIO, Run(5, "", FAILED)) == ["L: .initctl-012345-6-01234567.tmp is left, and nothing says so"]
    assert judged(Fault("openat", 1, "SIGKILL"), Run(-9, "", "")) == []
