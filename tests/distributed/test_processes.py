"""Parts that are processes of the command line: at once, killed, two of a kind, and beside a commit."""

from __future__ import annotations

import fcntl
import json
import os
import random
import signal
import subprocess
import time
from collections import Counter
from typing import TYPE_CHECKING

import pytest

import initctl
from tests.cli.processes import SCRIPT, Outcome, environment
from tests.cli.processes import initctl as command
from tests.distributed.results import inside, written_by_hand

if TYPE_CHECKING:
    from pathlib import Path

STEP = 64 << 20
RULES = ["--rule", "b.weight=normal"]
KILLS = 8


@pytest.fixture(scope="module")
def net(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of two steps and a bit: it is cut into pieces."""
    path = tmp_path_factory.mktemp("net") / "net.safetensors"
    header = {
        name: {"dtype": "F32", "shape": [STEP // 4], "data_offsets": [number * STEP, (number + 1) * STEP]}
        for number, name in enumerate(("a", "b.weight"))
    }
    text = json.dumps(header).encode()
    with path.open("wb") as stream:
        stream.write(len(text).to_bytes(8, "little") + text + os.urandom(4096))
        stream.truncate(8 + len(text) + 2 * STEP)
    initctl.apply(path, path.with_name("once.safetensors"), rules=RULES[1::2])
    return path


def arguments(net: Path, output: Path, *step: str) -> list[str]:
    return ["apply", str(net), "-o", str(output), *RULES, "--threads", "1", "--quiet", *step]


def started(net: Path, output: Path, *step: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [*SCRIPT, *arguments(net, output, *step)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(),
    )


def ended(process: subprocess.Popen[bytes]) -> Outcome:
    out, err = process.communicate()
    return Outcome(process.returncode, out.decode(), err.decode())


def is_as_written_at_once(output: Path, net: Path) -> bool:
    return inside(output) == inside(net.with_name("once.safetensors"))


def hidden(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if path.name.startswith(".")]


def test_parts_at_once_give_the_result_of_one_process(tmp_path: Path, net: Path):
    output = tmp_path / "out.safetensors"
    found = [ended(process) for process in [started(net, output, "--part", f"{n}/4") for n in (3, 1, 4, 2)]]
    assert found == [Outcome(0, "", "")] * 4
    assert not output.exists()
    assert command(*arguments(net, output, "--commit")) == Outcome(0, "", "")
    assert is_as_written_at_once(output, net)
    assert [path.name for path in tmp_path.iterdir()] == ["out.safetensors"]


def test_of_several_commits_at_once_one_puts_the_result_in_place_and_the_others_find_it_busy_or_gone(
    tmp_path: Path, net: Path
):
    output = tmp_path / "out.safetensors"
    for process in [started(net, output, "--part", f"{n}/2") for n in (1, 2)]:
        assert ended(process).status == 0
    found = [ended(process) for process in [started(net, output, "--commit") for _ in range(3)]]
    assert 0 in {outcome.status for outcome in found} <= {0, 6}
    told = [outcome.err for outcome in found if outcome.status]
    faults = ("another process is just writing or committing it", "no part of it was written", "not written yet")
    assert all(any(fault in err for fault in faults) for err in told)
    assert is_as_written_at_once(output, net)
    assert not hidden(tmp_path)


def test_two_processes_on_one_part_write_it_once(tmp_path: Path, net: Path):
    output = tmp_path / "out.safetensors"
    found = Counter(ended(process).status for process in [started(net, output, "--part", "1/1") for _ in range(3)])
    assert set(found) <= {0, 6}
    assert found[0] >= 1
    assert command(*arguments(net, output, "--commit")).status == 0
    assert is_as_written_at_once(output, net)
    assert not hidden(tmp_path)


def test_two_first_parts_with_other_numbers_agree_on_one(tmp_path: Path, net: Path):
    output = tmp_path / "out.safetensors"
    found = [ended(process) for process in [started(net, output, "--part", f"1/{parts}") for parts in (2, 3)]]
    assert sorted(outcome.status for outcome in found) == [0, 6]
    (refused,) = (outcome.err for outcome in found if outcome.status)
    assert "is being written in" in refused


@pytest.fixture
def small(tmp_path: Path) -> Path:
    content = bytes(range(1, 251)) * 8
    return written_by_hand(tmp_path / "net.safetensors", {"b.weight": ("F32", content), "c": ("F32", content)})


@pytest.mark.parametrize(
    ("kind", "step", "fault"),
    [
        (fcntl.LOCK_EX, ["--part", "1/1"], "is just being put in place; wait until it has ended"),
        (fcntl.LOCK_SH, ["--commit"], "another process is just writing or committing it; wait until it has ended"),
    ],
)
def test_a_part_during_a_commit_and_a_commit_during_a_part_are_refused(
    tmp_path: Path, small: Path, kind: int, step: list[str], fault: str
):
    output = tmp_path / "out.safetensors"
    assert command(*arguments(small, output, "--part", "1/1")).status == 0
    (staging,) = tmp_path.glob(".initctl-*")
    with (staging / "parts.json").open("r+") as note:
        fcntl.flock(note, kind)
        refused = command(*arguments(small, output, *step))
    assert (refused.status, refused.out) == (6, "")
    assert refused.err.startswith(f"initctl: error: {output}: {fault}\n")
    assert command(*arguments(small, output, "--commit")).status == 0


def test_a_part_that_another_process_is_just_writing_is_refused(tmp_path: Path, small: Path):
    output = tmp_path / "out.safetensors"
    assert command(*arguments(small, output, "--part", "1/2")).status == 0
    (staging,) = tmp_path.glob(".initctl-*")
    with (staging / "part-2-of-2.json.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        refused = command(*arguments(small, output, "--part", "2/2"))
    assert refused.status == 6
    assert "another process is just writing this part" in refused.err


def test_processes_that_are_killed_at_random_moments_leave_no_mix_and_what_is_run_again_completes_it(
    tmp_path: Path, net: Path
):
    output, draw, killed = tmp_path / "out.safetensors", random.Random(0), 0
    took = _seconds(net, tmp_path / "other.safetensors", "--part", "1/2")
    for _ in range(KILLS):
        step = draw.choice([["--part", "1/2"], ["--part", "2/2"], ["--commit"]])
        process = started(net, output, *step)
        time.sleep(took * draw.random())
        process.send_signal(signal.SIGKILL)
        killed += ended(process).status == -signal.SIGKILL
        assert not output.exists() or is_as_written_at_once(output, net)
    assert killed
    for step in (["--part", "2/2"], ["--part", "1/2"], ["--commit"]):
        assert command(*arguments(net, output, *step)).status == 0
    assert is_as_written_at_once(output, net)
    assert [path.name for path in tmp_path.iterdir() if "other" not in path.name and path.suffix != ".parts"] == [
        "out.safetensors"
    ]


def _seconds(net: Path, output: Path, *step: str) -> float:
    begin = time.monotonic()
    assert command(*arguments(net, output, *step)).status == 0
    return time.monotonic() - begin


def test_a_part_that_is_asked_to_end_says_so_and_can_be_run_again(tmp_path: Path, net: Path):
    output = tmp_path / "out.safetensors"
    process = started(net, output, "--part", "1/1")
    while not hidden(tmp_path):
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    assert ended(process).status in (0, 143)
    for step in (["--part", "1/1"], ["--commit"]):
        assert command(*arguments(net, output, *step)).status == 0
    assert is_as_written_at_once(output, net)
    assert not hidden(tmp_path)
