"""`python -m tests.fuzz --minutes N [--seed S] [--target T …] [--guided] [--keep FOLDER]`: fuzz each reader for its
share of the time, in a process of its own, and print a table. The exit status is 1 if something was found.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

NAMES = ("safetensors", "torch-zip", "torch-pickle", "torch-legacy", "distributed", "index", "config", "table", "rule",
         "recipe", "plan", "report")  # fmt: skip
"""The targets, here as names alone: a process of its own loads what it needs."""
VERDICTS = ("both accept", "both refuse", "only we refuse", "only they refuse", "findings")
_ENDED = 30
"""Seconds that a process gets beside its time."""


def fuzzed(name: str, folder: Path, seconds: float, seed: int, *, guided: bool) -> dict[str, Any]:
    """What a process that fuzzes the target `name` reports. One that a signal ended is started again."""
    total: dict[str, Any] = {"inputs": 0, "slowest": 0.0, "counts": Counter(), "findings": {}}
    left, number = seconds, 0
    while left > 1:
        here = folder / name / str(number)
        here.mkdir(parents=True)
        command = [sys.executable, "-m", "tests.fuzz.worker", name, os.fspath(here), str(left), str(seed + number)]
        ran = subprocess.run([*command, *(["--guided"] * guided)], capture_output=True, text=True, check=False,
                             timeout=left + 20 * _ENDED)  # fmt: skip
        _add(total, here, ran)
        if ran.returncode >= 0:
            break
        left, number = left * 0.8 - _ENDED, number + 1
    return total


def _add(total: dict[str, Any], here: Path, ran: subprocess.CompletedProcess[str]) -> None:
    found = json.loads((here / "tally.json").read_text()) if (here / "tally.json").exists() else {}
    total["inputs"] += found.get("inputs", 0)
    total["slowest"] = max(total["slowest"], found.get("slowest", 0.0))
    total["counts"].update(found.get("counts", {}))
    total["findings"].update(found.get("findings", {}))
    if ran.returncode:
        total["counts"]["ended"] += 1
        total["findings"][f"process {here.name}"] = f"status {ran.returncode}: {ran.stderr[-300:]}"


def table(totals: dict[str, dict[str, Any]]) -> str:
    """A row for each target, then the reasons of verdicts that differ, and what was found."""
    lines = [f"{'target':14}{'inputs':>10}" + "".join(f"{kind:>18}" for kind in VERDICTS) + f"{'slowest':>10}"]
    for name, total in totals.items():
        counts = "".join(f"{total['counts'][kind]:>18,}" for kind in VERDICTS)
        lines.append(f"{name:14}{total['inputs']:>10,}{counts}{total['slowest']:>9.3f}s")
    lines.append(f"{'all':14}{sum(total['inputs'] for total in totals.values()):>10,}")
    reasons = sum((total["counts"] for total in totals.values()), Counter[str]())
    lines += [f"{count:>10,}  {kind.removeprefix('reason: ')}" for kind, count in reasons.most_common() if ": " in kind]
    for name, total in totals.items():
        lines += [f"{name}: {file}: {words}" for file, words in total["findings"].items()]
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz")
    parser.add_argument("--minutes", type=float, default=1.0, help="of all targets together")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--target", action="append", choices=NAMES, help="by default all")
    parser.add_argument("--guided", action="store_true", help="let coverage choose inputs; needs atheris")
    parser.add_argument("--keep", type=Path, help="a new folder for the inputs of findings")
    asked = parser.parse_args()
    names = asked.target or NAMES
    with TemporaryDirectory() as scratch:
        folder = asked.keep or Path(scratch)
        share = asked.minutes * 60 / len(names)
        totals = {name: fuzzed(name, folder, share, asked.seed, guided=asked.guided) for name in names}
    print(table(totals))
    return int(any(total["findings"] for total in totals.values()))


if __name__ == "__main__":
    sys.exit(main())
