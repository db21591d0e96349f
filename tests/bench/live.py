"""`initctl.init_` beside a loop of torch.nn.init: `python -m tests.bench.live DTYPE RUNS` writes seconds as JSON, and
how many megabytes the process grew.

Both fill the same model of 100 M parameters, in turn, in one thread. What loading and compiling take does not count.
"""

from __future__ import annotations

import json
import resource
import sys
import time

import torch
from torch import nn

import initctl

STD = 0.02


def model(dtype: torch.dtype, layers: int) -> nn.Module:
    """Matrices of 10 M parameters, in memory that was written once."""
    net = nn.ModuleList(nn.Linear(2500, 4000, bias=False, dtype=dtype, device="meta") for _ in range(layers))
    net.to_empty(device="cpu")
    for parameter in net.parameters():
        nn.init.zeros_(parameter)
    return net


def ours(net: nn.Module) -> None:
    initctl.init_(net, rules=[f"*=normal:std={STD}"], threads=1)


def theirs(net: nn.Module) -> None:
    for parameter in net.parameters():
        nn.init.normal_(parameter, std=STD)


def compare(dtype: torch.dtype, runs: int) -> tuple[list[float], list[float], float]:
    """Seconds of each side, run in turn, and the growth of the process meanwhile; after a smaller model of each, which
    does not count.
    """
    torch.set_num_threads(1)
    small = model(dtype, layers=1)
    for side in (ours, theirs):
        side(small)
    net = model(dtype, layers=10)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    seconds: tuple[list[float], list[float]] = ([], [])
    for _ in range(runs):
        for side, taken in zip((ours, theirs), seconds, strict=True):
            started = time.perf_counter()
            side(net)
            taken.append(time.perf_counter() - started)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    return *seconds, grown / 1000


if __name__ == "__main__":
    print(json.dumps(compare(getattr(torch, sys.argv[1]), int(sys.argv[2]))))
