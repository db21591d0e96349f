"""Commands that launchers start several times: one result, one report, and one line if something is wrong."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest
import torch
from safetensors.torch import save_file

import initctl
from tests.distributed.processes import Ended, ended, started
from tests.readme import environment

if TYPE_CHECKING:
    from pathlib import Path

SLOW = "*.weight=orthogonal"
SLOW_SECOND = """
import os, time
from glob import glob
from initctl.__main__ import main
from initctl.commit import effects
slept = []
def flush(descriptor, flush=effects.flush):
    if os.environ["RANK"] == "1" and not slept and len(glob(".initctl-*/*.lock")) == 2:
        slept.append(time.sleep(5))
    flush(descriptor)
effects.flush = flush
main()
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    save_file({f"l{number}.weight": torch.randn(400, 400) for number in range(6)}, tmp_path / "net.safetensors")
    return tmp_path


def test_the_first_rank_speaks_and_the_others_are_silent(folder: Path):
    first, second = ended(started(2, ["apply", "net.safetensors", "-o", "out.safetensors", "-r", SLOW], folder))
    assert first.status == second.status == 0
    assert first.err == second.err == second.out == ""
    assert first.out.endswith("wrote out.safetensors (1 file)\n")
    assert initctl.verify(folder / "net.safetensors", folder / "out.safetensors", rules=[SLOW])


def test_a_report_and_a_document_are_written_once(folder: Path):
    arguments = ["apply", "net.safetensors", "-o", "out.safetensors", "-r", "*=ones", "--report", "r.json", "--json"]
    first, second = ended(started(2, arguments, folder))
    assert (first.status, second) == (0, Ended(0, "", ""))
    assert json.loads(first.out)["data"]["files"] == ["out.safetensors"]
    assert initctl.load_manifest(folder / "r.json").verify(folder / "out.safetensors")


def test_ranks_share_the_check_of_a_report(folder: Path):
    plan = initctl.plan(folder / "net.safetensors", rules=["*=ones"])
    applied = initctl.apply(plan, folder / "out.safetensors")
    applied.manifest(initctl.changes(plan, digest=True)).save(folder / "r.json")
    arguments = ["verify", "out.safetensors", "--report", "r.json"]
    assert [rank[:2] for rank in ended(started(2, arguments, folder))] == [
        (0, "out.safetensors: holds what r.json says\ncompared 6 tensors and 1 file\n"),
        (0, ""),
    ]


@pytest.mark.parametrize("each", [(["-r", "x=ones"], ["-r", "x=ones"]), (["-r", "*=ones"], ["-r", "x=ones"])])
def test_an_error_is_one_line_and_the_status_of_all(folder: Path, each: tuple[list[str], list[str]]):
    first, second = ended(started(2, ["apply", "net.safetensors", "-o", "out.safetensors"], folder, each))
    where = "" if each[0] == each[1] else "rank 1: "
    assert first.err.startswith(f"initctl: error: {where}rule 1 (x=ones): matches no tensor; ")
    assert first.err.count("initctl: error: ") == 1
    assert (first.status, second) == (4, Ended(4, "", ""))
    assert sorted(os.listdir(folder)) == ["net.safetensors"]


def test_a_check_that_does_not_hold_is_the_status_of_all(folder: Path):
    first, second = ended(started(2, ["verify", "net.safetensors", "-r", SLOW], folder))
    assert (first.status, second) == (1, Ended(1, "", ""))
    assert "l0.weight" in first.out


def test_a_rank_says_that_it_waits_for_others_and_a_signal_ends_it(folder: Path):
    arguments = ["apply", "net.safetensors", "-o", "out.safetensors", "-r", SLOW]
    waiting = []
    for rank in (0, 1):
        ranks = started(2, arguments, folder)
        other = ranks.pop(1 - rank)
        other.kill()
        ended([other])
        waiting += ranks
    for rank, process in enumerate(waiting):
        line = process.stderr.readline()
        assert re.fullmatch(
            rf"initctl: warning: rank {rank} of 2 waits for the others at 127.0.0.1:\d+, 10 minutes at most\n", line
        )
        time.sleep(0.1)  # it may just be writing this line
        process.terminate()
    assert ended(waiting) == [Ended(143, "", "initctl: error: interrupted by SIGTERM\n")] * 2
    assert os.listdir(folder) == ["net.safetensors"]


def test_a_signal_ends_a_rank_while_another_one_works(folder: Path):
    arguments = ["apply", "net.safetensors", "-o", "out.safetensors", "-r", SLOW]
    first, second = started(2, arguments, folder, script=SLOW_SECOND)
    while len(list(folder.glob(".initctl-*/*.lock"))) < 2:
        time.sleep(0.01)
    time.sleep(2)
    first.terminate()
    assert ended([first]) == [Ended(143, "", "initctl: error: interrupted by SIGTERM\n")]
    assert ended([second])[0].status == 5
    assert not (folder / "out.safetensors").exists()
    assert [rank.status for rank in ended(started(2, arguments, folder))] == [0, 0]


def test_a_rank_that_dies_leaves_nothing_visible_and_the_next_run_completes_it(folder: Path):
    arguments = ["apply", "net.safetensors", "-o", "out.safetensors", "-r", SLOW, "-q"]
    ranks = started(2, arguments, folder)
    while not list(folder.glob(".initctl-*/result")):
        time.sleep(0.01)
    ranks[1].send_signal(signal.SIGKILL)
    first, second = ended(ranks)
    assert second.status == -signal.SIGKILL
    assert (first.status, first.out) == (5, "")
    assert first.err.startswith("initctl: error: rank 0: another rank has ended, or cannot be reached: ")
    assert first.err.endswith("; run the same command again: it continues\n")
    assert not (folder / "out.safetensors").exists()
    assert ended(started(2, arguments, folder)) == [Ended(0, "", "")] * 2
    assert initctl.verify(folder / "net.safetensors", folder / "out.safetensors", rules=[SLOW])
    assert sorted(os.listdir(folder)) == ["net.safetensors", "out.safetensors"]


def test_torchrun_starts_ranks_that_share_the_work(folder: Path):
    run = ["torchrun", "--standalone", "--nproc-per-node", "2", "-m", "initctl", "apply", "net.safetensors"]
    environ = {name: value for name, value in environment().items() if name != "OMP_NUM_THREADS"}
    done = subprocess.run(
        [*run, "-o", "out.safetensors", "-r", SLOW, "--json"], cwd=folder, env=environ, capture_output=True, check=True
    )
    assert json.loads(done.stdout)["data"]["files"] == ["out.safetensors"]
    assert initctl.verify(folder / "net.safetensors", folder / "out.safetensors", rules=[SLOW])


def test_a_part_is_written_by_each_process_whoever_started_it(folder: Path):
    arguments = ["apply", "net.safetensors", "-o", "out.safetensors", "-r", "*=ones", "--part"]
    first, second = ended(started(2, arguments, folder, [["1/2"], ["2/2"]]))
    assert (first.status, second.status) == (0, 0)
    assert first.out.startswith("part 1 of 2: wrote ")
    assert second.out.startswith("part 2 of 2: wrote ")


def test_ranks_that_cannot_meet_write_nothing(folder: Path):
    environ = {**environment(), "WORLD_SIZE": "2", "RANK": "1"}
    command = [sys.executable, "-m", "initctl", "apply", "net.safetensors", "-o", "out.safetensors", "-r", "*=ones"]
    done = subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (6, "")
    assert "MASTER_ADDR and MASTER_PORT do not say where the ranks meet" in done.stderr
    assert sorted(os.listdir(folder)) == ["net.safetensors"]


def test_commands_that_one_torchrun_starts_one_after_another_meet_each_time(folder: Path):
    script = (
        "initctl apply net.safetensors -o out.safetensors -r '*=ones' -q && initctl verify out.safetensors -r '*=ones'"
    )
    run = ["torchrun", "--standalone", "--nproc-per-node", "2", "--no-python", "bash", "-c", script]
    done = subprocess.run(run, cwd=folder, env=environment(), capture_output=True, text=True, check=True, timeout=100)
    assert done.stdout.count("holds what the rules give") == 1


def test_a_command_that_ranks_cannot_share_is_refused_by_all(folder: Path):
    arguments = ["new", "--like", "net.safetensors", "-o", "new.safetensors", "-r", "*=ones"]
    found = ended(started(2, arguments, folder))
    assert [rank.status for rank in found] == [6, 6]
    assert (
        "this is rank 1 of 2, and each would write the whole checkpoint; run it once; unset WORLD_SIZE" in found[1].err
    )
    assert sorted(os.listdir(folder)) == ["net.safetensors"]
