"""Whether a run that is killed leaves the old checkpoint or the new one: `python -m tests.kills [in-place] [patch]`.

A checkpoint of several shards is changed in place again and again, and each run is killed at a random moment. What it
leaves is compared byte by byte with the old and the new state; a patch may leave values of both if a journal says so.
Then the command is repeated, or the patch is resumed: it must succeed, and leave nothing but the new state. What is
printed: how many runs left what, and every violation.
"""

from __future__ import annotations

import argparse
import filecmp
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from statistics import median

import torch
from safetensors.torch import save_file

COMMAND = [sys.executable, "-m", "initctl"]
HOW = {"in-place": ["--in-place"], "patch": ["--in-place", "--patch"]}
JOURNAL = ".initctl-journal"
SHARDS = 4
SIDE = 1024
"""Elements on one side of a matrix."""
_CONFLICT = 6
_IN_THE_END = 0.8
"""Half of the moments are in what follows this share of a run: results are committed there."""


def make(home: Path, size: float) -> None:
    """A checkpoint of `size` GB of bfloat16 weights, and a file beside its shards."""
    home.mkdir(parents=True)
    count = max(1, round(size * 1e9 / (2 * SIDE * SIDE) / SHARDS))
    weight_map = {}
    for shard in range(SHARDS):
        name = f"model-{shard + 1:05}-of-{SHARDS:05}.safetensors"
        tensors = {
            f"layers.{shard}.{number}.weight": torch.ones(SIDE, SIDE, dtype=torch.bfloat16) for number in range(count)
        }
        save_file(tensors, home / name)
        weight_map |= dict.fromkeys(tensors, f'"{name}"')
    listed = ", ".join(f'"{name}": {file}' for name, file in weight_map.items())
    (home / "model.safetensors.index.json").write_text(f'{{"metadata": {{}}, "weight_map": {{{listed}}}}}')
    (home / "config.json").write_text("{}")


def rules(seed: int) -> list[str]:
    return ["-r", "*.weight=normal:std=0.02", "--seed", str(seed), "--quiet"]


def is_same(folder: Path, other: Path) -> bool:
    """Whether both directories have files of the same names and contents."""
    names = sorted(os.listdir(folder))
    return names == sorted(os.listdir(other)) and not any(filecmp.cmpfiles(folder, other, names, shallow=False)[1:])


def status(*arguments: str | Path) -> int:
    return subprocess.run([*COMMAND, *arguments], check=False, stderr=subprocess.DEVNULL).returncode


def kill(command: list[str], moment: float) -> None:
    """Start `command`, and kill it after so many seconds, if it has not ended."""
    run = subprocess.Popen(command, stderr=subprocess.DEVNULL, start_new_session=True)
    with suppress(subprocess.TimeoutExpired):
        run.wait(moment)
    with suppress(ProcessLookupError):
        os.killpg(run.pid, signal.SIGKILL)
    run.wait()


class Rounds:
    """Changes the checkpoint `home` between the `states`, which two seeds make of it."""

    def __init__(self, home: Path, states: list[Path], how: str) -> None:
        self.home, self.states, self.how = home, states, how
        self.left: Counter[str] = Counter()

    def run(self, target: int, moment: float) -> Iterator[str]:
        """Kill a change into the state `target` at a `moment`, and complete it. Yields what does not hold."""
        command = ["apply", self.home, *HOW[self.how], *rules(target)]
        kill([*COMMAND, *map(str, command)], moment)
        left = self.what_is_left(target)
        self.left[left] += 1
        if left == "a mix":
            yield f"killed after {moment:.3f} s: {left}"
        if left == "a journal" and (found := status("inspect", "--quiet", self.home)) != _CONFLICT:
            yield f"killed after {moment:.3f} s: inspect of a half-patched checkpoint ends with {found}"
        again = ["apply", self.home, "--resume", "--quiet"] if left == "a journal" else command
        if found := status(*again):
            yield f"killed after {moment:.3f} s, which left {left}: the next run ends with {found}"
        if not is_same(self.home, self.states[target]):
            yield f"killed after {moment:.3f} s, which left {left}: the next run does not complete it"
        beside = {self.home, *self.states}
        if traces := [path.name for path in self.home.parent.iterdir() if path not in beside]:
            yield f"killed after {moment:.3f} s, which left {left}: the next run leaves {', '.join(traces)}"

    def what_is_left(self, target: int) -> str:
        """The name of the state in which the checkpoint is."""
        if self.how == "patch" and (self.home / JOURNAL).exists():
            return "a journal"
        for number, name in ((1 - target, "the old state"), (target, "the new state")):
            if is_same(self.home, self.states[number]):
                return name
        return "a mix"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("how", nargs="*", choices=[*HOW, []], default=[], help="default: both")
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--size", type=float, default=2, help="GB of the checkpoint (default: 2)")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6), help="of the moments")
    asked = parser.parse_args()
    chance, violations = random.Random(asked.seed), 0
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "model"
        states = [Path(folder) / "first", Path(folder) / "second"]
        make(home, asked.size)
        for seed, state in enumerate(states):
            if status("apply", home, "-o", state, *rules(seed)):
                sys.exit("A run that nobody disturbs fails.")
        for how in asked.how or HOW:
            shutil.rmtree(home)
            shutil.copytree(states[0], home)
            rounds = Rounds(home, states, how)
            lengths = [length(home, how, seed) for seed in (1, 0, 1, 0)]
            usual = median(lengths[1:])  # the first one warms up
            for number in range(asked.rounds):
                share = chance.uniform(_IN_THE_END if number % 2 else 0, 1.1)
                for violation in rounds.run(1 - number % 2, share * usual):
                    violations += 1
                    print(f"{how}, seed {asked.seed}, round {number}: {violation}", flush=True)
            left = ", ".join(f"{name} {count}" for name, count in sorted(rounds.left.items()))
            print(f"{how:9} {asked.rounds:4} runs of {usual:.1f} s were killed; they left: {left}", flush=True)
    print(f"{violations} violations")
    return bool(violations)


def length(home: Path, how: str, seed: int) -> float:
    """The seconds that an undisturbed run takes."""
    start = time.monotonic()
    if status("apply", home, *HOW[how], *rules(seed)):
        sys.exit("A run that nobody disturbs fails.")
    return time.monotonic() - start


if __name__ == "__main__":
    sys.exit(main())
