"""`python -m tests.bench.scale`: how long one result takes on many machines, predicted from pieces measured here.

The model: a rank starts, imports torch and meets the others; plans; computes and writes its share, both at once, with
the ranks beside it on the same processors and disk; exchanges four times; and the first rank completes the files.
The prediction is checked against 1 to 4 ranks on this machine, and then made for a model of 10^12 parameters.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, NamedTuple

from tests.bench.bench import GIGABYTE, INITCTL, MEGABYTE, PYTHON
from tests.bench.checkpoints import language_model, many_tensors, written
from tests.bench.inside import ours as filling
from tests.bench.machine import description
from tests.bench.timing import timed
from tests.distributed.processes import ended, started
from tests.ranks import Ranks

if TYPE_CHECKING:
    from collections.abc import Callable

RULE = "*=normal:std=0.02"
_RUNS = 3
_TENSORS, _FILES = 20_000, 160
_NUMBERS = 64 << 20
_EXCHANGES = 4
_MEASURING = """
import sys
from initctl.cli.main import run
status = run(sys.argv[1:])
lines = dict(line.split(":") for line in open("/proc/self/status"))
print(int(lines["VmHWM"].split()[0]) * 1024)
sys.exit(status)
"""
"""Prints the most memory that the command line held, in bytes. The system's own figure counts the parent's too."""
_OBJECT = bytes(2000)
"""About a receipt."""


class Pieces(NamedTuple):
    """Seconds of a start, of joining, of a tensor's plan, of a gigabyte computed by one processor and of one written,
    of an exchange with one more rank, and of a file's completion; and bytes of memory, and those of a tensor's plan.
    """

    start: float
    joining: float
    tensor: float
    computed: float
    written: float
    exchange: float
    file: float
    memory: float
    tensor_memory: float


class Work(NamedTuple):
    """A result, and who makes it: `ranks`, of which `together` share a machine of `cores`."""

    gigabytes: float
    tensors: int
    files: int
    ranks: int
    together: int = 1
    cores: int = 1


def predicted(pieces: Pieces, work: Work) -> tuple[float, float]:
    """Seconds of the work, and bytes of memory of a rank."""
    crowd = max(1.0, work.together / work.cores)
    share = work.gigabytes / work.ranks * work.together
    waiting = pieces.joining * crowd + _EXCHANGES * pieces.exchange * (work.ranks - 1) if work.ranks > 1 else 0.0
    planning = pieces.start + pieces.tensor * work.tensors * crowd
    computing = share * pieces.computed / min(work.cores, work.together)
    seconds = planning + waiting + max(computing, share * pieces.written) + pieces.file * work.files
    return seconds, pieces.memory + pieces.tensor_memory * work.tensors


def measured(folder: Path) -> Pieces:
    """The pieces of this machine."""
    one = many_tensors(folder / "one.safetensors", 1)
    many = many_tensors(folder / "many.safetensors", _TENSORS)
    plans = [[*INITCTL, "plan", str(path), "-q", "-r", RULE] for path in (one, many)]
    start, planned = (_median(lambda command=command: timed(command).seconds) for command in plans)
    least, most = (_peak(["plan", str(path), "-q", "-r", RULE]) for path in (one, many))
    meeting = _median(partial(_ranked, 2, one, folder / "met.safetensors"))
    return Pieces(
        start=start,
        joining=meeting - start,
        tensor=(planned - start) / _TENSORS,
        computed=_median(_computed) / (2 * _NUMBERS / GIGABYTE),
        written=_median(partial(_written, folder / "raw")),
        exchange=_exchange(folder),
        file=max(_completed(folder), 0.0) / _FILES,
        memory=_peak_of_rank(folder, one),
        tensor_memory=(most - least) / _TENSORS,
    )


def _median(seconds: Callable[[], float]) -> float:
    seconds()  # the first does not count
    return median(seconds() for _ in range(_RUNS))


def _clocked(function: Callable[[], object]) -> float:
    began = time.perf_counter()
    function()
    return time.perf_counter() - began


def _computed() -> float:
    return _clocked(filling("normal", (_NUMBERS,), "bfloat16", 1))


def _written(path: Path) -> float:
    """Seconds until a gigabyte is on the disk."""
    piece = os.urandom(MEGABYTE)

    def write() -> None:
        with path.open("wb") as stream:
            for _ in range(GIGABYTE // MEGABYTE):
                stream.write(piece)
            stream.flush()
            os.fsync(stream.fileno())

    return _clocked(write)


def _ranked(size: int, path: Path, output: Path) -> float:
    """Seconds that `size` ranks take to apply the rule to the checkpoint at `path`."""
    output.unlink(missing_ok=True)
    os.sync()
    arguments = ["apply", str(path), "-o", str(output), "-r", RULE, "-q"]
    run = started(size, arguments, output.parent) if size > 1 else None
    began = time.perf_counter()
    if run is None:
        return timed([*INITCTL, *arguments, "--threads", "1"]).seconds
    if faults := [rank for rank in ended(run) if rank.status]:
        raise RuntimeError(faults[0].err)
    return time.perf_counter() - began


def _exchange(folder: Path) -> float:
    """Seconds that one more rank adds to an exchange."""
    ranks = Ranks(folder)
    two, four = (max(ranks.run(size, exchanging)) for size in (2, 4))
    ranks.stop()
    return max(four - two, two) / 2


def exchanging(times: int = 50) -> float:
    """A job: seconds of one exchange."""
    import torch.distributed as dist

    every: list[object] = [None] * dist.get_world_size()
    return _clocked(lambda: [dist.all_gather_object(every, _OBJECT) for _ in range(times)]) / times


def _completed(folder: Path) -> float:
    """Seconds that `--commit` takes for many small files, beside its start."""
    source = folder / "shards"
    source.mkdir(exist_ok=True)
    weights = {}
    for number in range(_FILES):
        written(source / f"model-{number:05}.safetensors", {f"layers.{number}.weight": (8, 8)})
        weights[f"layers.{number}.weight"] = f"model-{number:05}.safetensors"
    index = {"metadata": {"total_size": 128 * _FILES}, "weight_map": weights}
    (source / "model.safetensors.index.json").write_text(json.dumps(index))
    command = [*INITCTL, "apply", str(source), "-o", str(folder / "fresh"), "-r", RULE, "-q"]

    def commit() -> float:
        timed([*command, "--part", "1/1"])
        looking = timed([*command, "--status"]).seconds
        return timed([*command, "--commit"]).seconds - looking

    return _median(commit)


def _peak_of_rank(folder: Path, path: Path) -> float:
    arguments = ["apply", str(path), "-o", str(folder / "met.safetensors"), "-r", RULE, "-q"]
    return max(float(rank.out) for rank in ended(started(2, arguments, folder, script=_MEASURING)))


def _peak(arguments: list[str]) -> float:
    run = subprocess.run([PYTHON, "-c", _MEASURING, *arguments], capture_output=True, check=True)
    return float(run.stdout)


def main() -> None:
    """Print the pieces, the check, and the prediction, as tables."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.scale", description="Predict what many ranks take.")
    parser.add_argument("--size", type=float, default=2, help="GB of the checkpoint for the check (default: 2)")
    options = parser.parse_args()
    print(", ".join(f"{name} {value}" for name, value in description().items()))
    with TemporaryDirectory(prefix="initctl-scale-") as temporary:
        folder = Path(temporary)
        pieces = measured(folder)
        print("\n| piece | measured |\n|---|---|")
        for name, value in pieces._asdict().items():
            print(f"| {name} | {value:.3g} |")
        _check(folder, pieces, options.size)
    _foresee(pieces)


def _check(folder: Path, pieces: Pieces, size: float) -> None:
    path, cores = language_model(folder / "model.safetensors", size * GIGABYTE), len(os.sched_getaffinity(0))
    print(f"\n| ranks on this machine, {path.stat().st_size / GIGABYTE:.1f} GB | predicted | measured |\n|---|---|---|")
    for ranks in (1, 2, 3, 4):
        work = Work(path.stat().st_size / GIGABYTE, 300, 1, ranks, ranks, cores)
        seconds = _median(partial(_ranked, ranks, path, folder / "out.safetensors"))
        print(f"| {ranks} | {predicted(pieces, work)[0]:.1f} s | {seconds:.1f} s |", flush=True)


def _foresee(pieces: Pieces) -> None:
    print("\n| machines with one rank, 10^12 parameters in bfloat16 | predicted | memory of a rank |\n|---|---|---|")
    for ranks in (1, 8, 64, 256, 1024):
        seconds, memory = predicted(pieces, Work(2000, 70_000, 240, ranks))
        print(f"| {ranks:,} | {seconds:,.0f} s | {memory / MEGABYTE:.0f} MB |")


if __name__ == "__main__":
    sys.exit(main())
