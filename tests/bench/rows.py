"""The rows of the table: work, what it is measured against, and the limit it must keep."""

from __future__ import annotations

import json
import os
import subprocess
from typing import TYPE_CHECKING

import initctl
from initctl.stream import WholeLaw
from tests.bench.bench import GIGABYTE, INITCTL, PYTHON, Bench
from tests.bench.checkpoints import HEAD, empty, many_tensors, square
from tests.bench.operators import OPERATORS, script
from tests.bench.result import Result
from tests.bench.slow_store import slow_store
from tests.bench.timing import compared, timed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.bench.bench import Kind
    from tests.bench.operators import Operator

    Row = Callable[[Bench], Result]

ALL, ZEROS, ONE_HEAD = "*=normal:std=0.02", "*=zeros", f"{HEAD}=normal:std=0.02"
MEMORY_LIMIT = 150
"""Megabytes, beside what an initializer that needs its tensor at once takes for it."""
_MANY = 100_000
_TORCHRUN = [PYTHON, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node"]
_OF_LAWS = 0.27
"""How large a part of the large checkpoint the laws are compared on: 0.54 GB of 2."""

_COPYING = "`cp A B && sync B`"
_BY_HAND = """
import sys, torch
from safetensors.torch import load_file, save_file
tensors = load_file(sys.argv[1])
for tensor in tensors.values():
    torch.nn.init.normal_(tensor, std=0.02)
save_file(tensors, sys.argv[2])
"""
_LOADING = "import sys; from safetensors.torch import load_file; load_file(sys.argv[1])"
_SAVING = (
    "import sys; from safetensors.torch import load_file, save_file; save_file(load_file(sys.argv[1]), sys.argv[2])"
)


def _beside_copying(rule: str, work: str, limit: float | None, kind: Kind = "safetensors") -> Row:
    def row(bench: Bench) -> Result:
        path = bench.checkpoint(bench.size, kind)
        comparison = bench.compared(path, bench.apply(path, rule), bench.copy(path))
        return Result(work.format(_size(path)), _COPYING, *comparison, limit)

    return row


def everything_and_by_hand(bench: Bench) -> Result:
    path = bench.checkpoint(bench.size)
    script = [PYTHON, "-c", _BY_HAND, str(path), str(bench.out)]
    comparison = bench.compared(path, bench.apply(path, ALL), script)
    return Result(f"every weight of {_size(path)}", "`load_file, torch.nn.init, save_file`", *comparison, 0.1)


def _patched(work: str, kind: Kind = "safetensors") -> Row:
    """The same head in a large and in a small file."""

    def row(bench: Bench) -> Result:
        large, small = bench.checkpoint(bench.size, kind), bench.checkpoint(bench.size / 4, kind)
        flags = ("--in-place", "--patch", "-q", "-r", ONE_HEAD)
        patches = ([*INITCTL, "apply", str(path), *flags] for path in (large, small))
        comparison = compared(*patches, runs=bench.runs, before=os.sync)
        return Result(work.format(_size(large)), f"the same, of {_size(small)}", *comparison, 1.15)

    return row


def _peak_memory(work: str, kind: Kind = "safetensors") -> Row:
    def row(bench: Bench) -> Result:
        path = bench.checkpoint(bench.size, kind)
        peak = max(bench.peak(path, ALL), bench.peak(path, ONE_HEAD))
        return Result(work.format(_size(path)), "", [peak], [], MEMORY_LIMIT, "MB")

    return row


def _peak_of_whole(call: str) -> Row:
    def row(bench: Bench) -> Result:
        path = square(bench.folder / "square.safetensors", 4096)
        (action,) = initctl.plan(path, rules=[f"*={call}"]).actions
        assert isinstance(action.law, WholeLaw)
        workspace = action.law.workspace / 1e6
        against = f"{MEMORY_LIMIT} MB, and {workspace:.0f} that are checked to be free first"
        work = f"peak memory, {call.partition(':')[0]}, 4096 × 4096"
        return Result(work, against, [bench.peak(path, f"*={call}")], [], MEMORY_LIMIT + workspace, "MB")

    return row


def _beside_normal(operator: Operator) -> Row:
    def row(bench: Bench) -> Result:
        path = bench.checkpoint(bench.size * _OF_LAWS)
        ours, theirs = (bench.apply(path, rule) for rule in (operator.rule, operator.instead("normal:std=0.02")))
        comparison = bench.compared(path, ours, theirs)
        return Result(f"{operator.call} on {_size(path)}", "the same, normal", *comparison, operator.limit)

    return row


def _beside_script(operator: Operator) -> Row:
    def row(bench: Bench) -> Result:
        path = bench.checkpoint(bench.size * _OF_LAWS)
        theirs = [PYTHON, "-c", script(operator), str(path), str(bench.out)]
        comparison = bench.compared(path, bench.apply(path, operator.rule), theirs)
        return Result(f"{operator.call} on {_size(path)}", "the same in torch, in a script", *comparison, 1.0)

    return row


def verify_and_apply(bench: Bench) -> Result:
    path = bench.checkpoint(bench.size)
    made = bench.folder / "made.safetensors"
    timed(bench.apply(path, ALL, made))
    comparison = bench.compared(path, [*INITCTL, "verify", str(made), "-q", "-r", ALL], bench.apply(path, ALL))
    return Result(f"verify every weight of {_size(path)}", "apply of the same", *comparison, 1.0)


def stats_and_reading(bench: Bench) -> Result:
    path = bench.checkpoint(bench.size)
    comparison = bench.compared(path, [*INITCTL, "stats", str(path), "-q"], f"cat '{path}' > /dev/null")
    return Result(f"stats of {_size(path)}", "`cat FILE > /dev/null`", *comparison, 1.5)


def _diff(work: str, limit: float, *, seed: int) -> Row:
    """Of a checkpoint that was made with seed 0, and of one that was made with `seed`."""

    def row(bench: Bench) -> Result:
        path = bench.checkpoint(bench.size)
        one, same, other = (bench.folder / f"made-{name}.safetensors" for name in ("one", "same", "other"))
        for made, number in ((one, 0), (same, 0), (other, seed)):
            timed([*bench.apply(path, ALL, made), "--seed", str(number)])
        status = 1 if seed else 0
        ours = f"{' '.join(INITCTL)} diff '{one}' '{other}' -q; [ $? = {status} ]"
        comparison = compared(ours, ["cmp", str(one), str(same)], runs=bench.runs)
        return Result(work.format(_size(path)), "`cmp A B` of equal files", *comparison, limit)

    return row


def _many(work: str, command: str, against: str, script: str, limit: float) -> Row:
    def row(bench: Bench) -> Result:
        path, made = many_tensors(bench.folder / "many.safetensors", _MANY), bench.folder / "made-many.safetensors"
        ours = {
            "inspect": [*INITCTL, "inspect", str(path), "--json"],
            "plan": [*INITCTL, "plan", str(path), "--json", "-r", ALL],
            "apply": bench.apply(path, ALL),
            "verify": [*INITCTL, "verify", str(made), "-q", "-r", ALL],
        }
        if command == "verify":
            timed(bench.apply(path, ALL, made))
        comparison = bench.compared(path, ours[command], [PYTHON, "-c", script, str(path), str(bench.out)])
        return Result(work.format(f"{_MANY:,}"), against, *comparison, limit)

    return row


def help_and_import(bench: Bench) -> Result:
    return _beside_import("`initctl --help`", [*INITCTL, "--help"], bench, 0.1)


def plan_and_import(bench: Bench) -> Result:
    path = many_tensors(bench.folder / "small.safetensors", 300)
    return _beside_import("plan of 300 tensors", [*INITCTL, "plan", str(path), "-r", ALL], bench, 0.15)


def small_apply_and_import(bench: Bench) -> Result:
    path = many_tensors(bench.folder / "small.safetensors", 300)
    return _beside_import("apply to 300 small tensors", bench.apply(path, ALL), bench, 0.2)


def _beside_import(work: str, command: list[str], bench: Bench, limit: float | None) -> Result:
    return Result(work, "`import torch`", *compared(command, [PYTHON, "-c", "import torch"], runs=bench.runs), limit)


def _inside(name: str, work: str, against: str, limit: float) -> Row:
    def row(bench: Bench) -> Result:
        command = [PYTHON, "-m", "tests.bench.inside", name, str(bench.runs)]
        output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        return Result(work, against, *json.loads(output), limit)

    return row


def _live(dtype: str) -> Row:
    def row(bench: Bench) -> Result:
        work = f"`init_` of 100 M parameters, {dtype}, 1 thread"
        return Result(work, "a loop of `nn.init.normal_`", *_compared_live(bench, dtype)[:2], 0.33)

    return row


def live_memory(bench: Bench) -> Result:
    grown = _compared_live(bench, "float32")[2]
    return Result("memory beside the model, `init_` of 100 M parameters", "", [grown], [], 20, "MB")


def _compared_live(bench: Bench, dtype: str) -> tuple[list[float], list[float], float]:
    command = [PYTHON, "-m", "tests.bench.live", dtype, str(bench.runs)]
    ours, theirs, grown = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return ours, theirs, grown


def _ranks(call: str, dtype: str, count: int, width: int, limit: float) -> Row:
    """Two ranks of one thread each beside one."""

    def row(bench: Bench) -> Result:
        path = empty(bench.folder / f"{dtype}-{count}.safetensors", dtype, count, width)
        sides = (
            [*_TORCHRUN, str(ranks), "-m", "initctl", *bench.apply(path, f"*={call}")[len(INITCTL) :], "--threads", "1"]
            for ranks in (2, 1)
        )
        comparison = bench.compared(path, *sides)
        work = f"{call.partition(':')[0]}, {count} of {width} × {width} {dtype}, 2 ranks"
        return Result(work, "1 rank", *comparison, limit)

    return row


def ranks_to_a_slow_store(bench: Bench) -> Result:
    """Two ranks beside one, which write to a store that takes each connection's bytes slowly."""
    path = empty(bench.folder / "slow.safetensors", "BF16", 48, 2048)
    with slow_store() as url:
        sides = (
            [*_TORCHRUN, str(ranks), "-m", "initctl", "apply", str(path), "-o", url, "-q", "--force", "-r", ALL]
            for ranks in (2, 1)
        )
        comparison = compared(*sides, runs=bench.runs)
    return Result("every weight of 0.4 GB to a slow store, 2 ranks", "1 rank", *comparison, 0.85)


ROWS: dict[str, Row] = {
    "all": _beside_copying(ALL, "every weight of {}", 1.0),
    "zeros": _beside_copying(ZEROS, "every weight of {}, zeros", 0.8),
    "by-hand": everything_and_by_hand,
    "head": _beside_copying(ONE_HEAD, "one head of {}, to a new file", 0.9),
    "patch": _patched("one head of {}, `--patch`"),
    "memory": _peak_memory("peak memory, {}: every weight, one head"),
    "torch-all": _beside_copying(ALL, "every weight of {} of torch.save", 1.0, "torch"),
    "torch-head": _beside_copying(ONE_HEAD, "one head of {} of torch.save, to a new file", 0.9, "torch"),
    "torch-patch": _patched("one head of {} of torch.save, `--patch`", "torch"),
    "torch-memory": _peak_memory("peak memory, {} of torch.save: every weight, one head", "torch"),
    "memory-orthogonal": _peak_of_whole("orthogonal"),
    "memory-sparse": _peak_of_whole("sparse:sparsity=0.5"),
    "float32": _inside("normal float32", "64 × 1 M float32 normals, 1 thread", "`Tensor.normal_`", 0.25),
    "bfloat16": _inside("normal bfloat16", "64 × 1 M bfloat16 normals, 1 thread", "`Tensor.normal_`", 0.22),
    "trunc": _inside("trunc_normal", "67 M normals cut at ±2 std", "`nn.init.trunc_normal_`", 0.05),
    "sparse": _inside("sparse", "sparse, 8192 × 8192", "`nn.init.sparse_`", 0.2),
    "orthogonal": _inside("orthogonal", "orthogonal, 4096 × 4096", "`nn.init.orthogonal_`", 0.9),
    "live-float32": _live("float32"),
    "live-bfloat16": _live("bfloat16"),
    "live-memory": live_memory,
    "verify": verify_and_apply,
    "stats": stats_and_reading,
    "diff-equal": _diff("diff of {}, equal", 1.0, seed=0),
    "diff-all": _diff("diff of {}, every tensor another", 2.0, seed=1),
    "many-inspect": _many("inspect {} tensors", "inspect", "`load_file`", _LOADING, 0.6),
    "many-plan": _many("plan {} tensors", "plan", "`load_file`", _LOADING, 1.0),
    "many-apply": _many("apply to {} tensors", "apply", "`load_file, save_file`", _SAVING, 0.95),
    "many-verify": _many("verify {} tensors", "verify", "`load_file`", _LOADING, 2.4),
    "many-by-hand": _many("apply to {} tensors", "apply", "`load_file, torch.nn.init, save_file`", _BY_HAND, 0.6),
    "ranks-orthogonal": _ranks("orthogonal", "BF16", 8, 4096, 0.7),
    "ranks-trunc": _ranks("trunc_normal:std=0.02,cut=2", "F8_E4M3", 300, 4096, 0.9),
    "ranks-store": ranks_to_a_slow_store,
    "help": help_and_import,
    "plan": plan_and_import,
    "apply": small_apply_and_import,
    **{name: _beside_normal(operator) for name, operator in OPERATORS.items()},
    **{f"{name}-script": _beside_script(operator) for name, operator in OPERATORS.items() if operator.torch},
}


def growth(bench: Bench) -> Iterator[Result]:
    """Every weight of a quarter, of the whole, and of four times the size: each beside the one before, in proportion.

    What starting costs makes smaller files dearer for their size, so linear time is a ratio of less than 1; some of the
    machine's unsteadiness is let pass.
    """
    quarter, whole, four = (bench.checkpoint(bench.size * factor) for factor in (0.25, 1, 4))
    for small, large in ((quarter, whole), (whole, four)):
        ours, theirs = bench.compared(large, bench.apply(large, ALL), bench.apply(small, ALL))
        ratio = large.stat().st_size / small.stat().st_size
        against = f"{ratio:.2g} × the time for {_size(small)}"
        yield Result(f"every weight of {_size(large)}", against, ours, [ratio * seconds for seconds in theirs], 1.15)
    for path in (quarter, whole, four):
        yield Result(f"peak memory, every weight of {_size(path)}", "", [bench.peak(path, ALL)], [], MEMORY_LIMIT, "MB")


def _size(path: Path) -> str:
    return f"{path.stat().st_size / GIGABYTE:.2g} GB"
