"""The rows of the table: work, what it is measured against, and the limit it must keep."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

from tests.bench.checkpoints import HEAD, language_model, many_tensors
from tests.bench.timing import Comparison, compared, peak, timed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

GIGABYTE = 10**9
ALL = "*=normal:std=0.02"
ONE_HEAD = f"{HEAD}=normal:std=0.02"
MEMORY_LIMIT = 400 * 10**6

_PYTHON = sys.executable
_INITCTL = [_PYTHON, "-m", "initctl"]
_BY_HAND = """
import sys, torch
from safetensors.torch import load_file, save_file
tensors = load_file(sys.argv[1])
for tensor in tensors.values():
    torch.nn.init.normal_(tensor, std=0.02)
save_file(tensors, sys.argv[2])
"""


@dataclass(frozen=True)
class Result:
    """One row: medians of both sides with their unit, the ratio or amount that counts, and its limit."""

    work: str
    against: str
    ours: float
    theirs: float | None
    measured: float
    limit: float | None
    unit: str = "s"

    @property
    def is_met(self) -> bool:
        return self.limit is None or self.measured <= self.limit


@dataclass(frozen=True)
class Bench:
    """Where files go, how often each side runs, and the bytes of the large checkpoint."""

    folder: Path
    runs: int
    size: float

    def checkpoint(self, size: float) -> Path:
        path = language_model(self.folder / f"model-{size / GIGABYTE:g}.safetensors", size)
        with path.open("rb") as stream:  # read once: what is measured is not the disk's reading
            while stream.read(1 << 24):
                pass
        return path

    @property
    def out(self) -> Path:
        return self.folder / "out.safetensors"

    def clear(self) -> None:
        self.out.unlink(missing_ok=True)
        os.sync()

    def apply(self, path: Path, rule: str) -> list[str]:
        return [*_INITCTL, "apply", str(path), "-o", str(self.out), "-q", "-r", rule]

    def copy(self, path: Path) -> str:
        return f"cp '{path}' '{self.out}' && sync '{self.out}'"

    def compare(self, work: str, against: str, comparison: Comparison, limit: float | None) -> Result:
        return Result(work, against, median(comparison.ours), median(comparison.theirs), comparison.ratio, limit)


def everything_and_copying(bench: Bench) -> Result:
    path = bench.checkpoint(bench.size)
    comparison = compared(bench.apply(path, ALL), bench.copy(path), runs=bench.runs, before=bench.clear)
    return bench.compare(f"every weight, {_size(path)} bfloat16", "cp A B && sync B", comparison, 1.3)


def everything_and_by_hand(bench: Bench) -> Result:
    path = bench.checkpoint(bench.size)
    script = [_PYTHON, "-c", _BY_HAND, str(path), str(bench.out)]
    comparison = compared(bench.apply(path, ALL), script, runs=min(bench.runs, 3), before=bench.clear)
    against = "load_file, torch.nn.init, save_file"
    return bench.compare(f"every weight, {_size(path)} bfloat16", against, comparison, 0.2)


def one_head_and_copying(bench: Bench) -> Result:
    path = bench.checkpoint(bench.size)
    comparison = compared(bench.apply(path, ONE_HEAD), bench.copy(path), runs=bench.runs, before=bench.clear)
    return bench.compare(f"one head of {_size(path)}, to a new file", "cp A B && sync B", comparison, 1.2)


def one_head_patched(bench: Bench) -> Result:
    """The same head in a large and in a small file."""
    large, small = bench.checkpoint(bench.size), bench.checkpoint(bench.size / 4)
    patches = (
        [*_INITCTL, "apply", str(path), "--in-place", "--patch", "-q", "-r", ONE_HEAD] for path in (large, small)
    )
    comparison = compared(*patches, runs=bench.runs, before=os.sync)
    return bench.compare(
        f"one head of {_size(large)}, --patch", f"the same, of a file of {_size(small)}", comparison, 1.15
    )


def peak_memory(bench: Bench) -> Result:
    path = bench.checkpoint(bench.size)
    bench.clear()
    held = peak([bench.apply(path, ALL), bench.apply(path, ONE_HEAD)])
    return Result("peak memory, every weight and one head", "", held / 1e6, None, held / 1e6, MEMORY_LIMIT / 1e6, "MB")


def help_and_import(bench: Bench) -> Result:
    comparison = compared([*_INITCTL, "--help"], [_PYTHON, "-c", "import torch"], runs=bench.runs)
    return bench.compare("initctl --help", "import torch", comparison, 0.3)


def plan_and_import(bench: Bench) -> Result:
    path = many_tensors(bench.folder / "small.safetensors", 300)
    plan = [*_INITCTL, "plan", str(path), "-r", ALL]
    comparison = compared(plan, [_PYTHON, "-c", "import torch"], runs=bench.runs)
    return bench.compare("plan of 300 tensors", "import torch", comparison, 0.3)


def small_apply_and_import(bench: Bench) -> Result:
    path = many_tensors(bench.folder / "small.safetensors", 300)
    comparison = compared(bench.apply(path, ALL), [_PYTHON, "-c", "import torch"], runs=bench.runs)
    return bench.compare("apply to 300 small tensors", "import torch", comparison, None)


def _inside(name: str, work: str, against: str, limit: float) -> Callable[[Bench], Result]:
    def row(bench: Bench) -> Result:
        command = [_PYTHON, "-m", "tests.bench.inside", name, str(bench.runs)]
        output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        return bench.compare(work, against, Comparison(*json.loads(output)), limit)

    return row


ROWS: dict[str, Callable[[Bench], Result]] = {
    "all": everything_and_copying,
    "by-hand": everything_and_by_hand,
    "head": one_head_and_copying,
    "patch": one_head_patched,
    "memory": peak_memory,
    "float32": _inside("normal float32", "64 × 1 M float32 normals, 1 thread", "Tensor.normal_", 0.33),
    "bfloat16": _inside("normal bfloat16", "64 × 1 M bfloat16 normals, 1 thread", "Tensor.normal_", 0.25),
    "trunc": _inside("trunc_normal", "67 M normals cut at ±2 std", "nn.init.trunc_normal_", 0.25),
    "sparse": _inside("sparse", "sparse, 8192 × 8192", "nn.init.sparse_", 0.25),
    "orthogonal": _inside("orthogonal", "orthogonal, 4096 × 4096", "nn.init.orthogonal_", 1.0),
    "help": help_and_import,
    "plan": plan_and_import,
    "apply": small_apply_and_import,
}


def growth(bench: Bench) -> Iterator[Result]:
    """Every weight of a quarter, of the whole, and of four times the size: seconds, and memory."""
    for factor in (0.25, 1, 4):
        path = bench.checkpoint(bench.size * factor)
        runs = []
        for _ in range(3):
            bench.clear()
            runs.append(timed(bench.apply(path, ALL)))
        seconds, held = median(run.seconds for run in runs), max(run.peak for run in runs) / 1e6
        yield Result(
            f"every weight, {_size(path)}", f"{held:.0f} MB peak", seconds, None, held, MEMORY_LIMIT / 1e6, "s"
        )


def _size(path: Path) -> str:
    return f"{path.stat().st_size / GIGABYTE:.2g} GB"
