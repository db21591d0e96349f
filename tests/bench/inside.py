"""Functions compared within one process: `python -m tests.bench.inside NAME RUNS` writes seconds as JSON.

The compiled engine's side and torch's run in turn on one tensor that is there already; loading and compiling do not
count.
"""

from __future__ import annotations

import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch

from initctl.dtypes import BY_NAME
from initctl.initializers import REGISTRY
from initctl.rules import parse_call
from initctl.stream import WholeLaw
from initctl.stream.engines import LawRun, Work, choose
from initctl.stream.engines.compiled import CompiledEngine
from initctl.stream.key import stream_key
from initctl.tensors import TensorSpec
from initctl.threads import processors

if TYPE_CHECKING:
    from collections.abc import Callable

    Function = Callable[[], object]

_AT_ONCE = 1 << 20
_KEY = stream_key(0, "weight")


def ours(call: str, shape: tuple[int, ...], dtype: str, threads: int) -> Function:
    """Fills a tensor of that shape as `initctl apply` does, in pieces over threads."""
    kind = BY_NAME[dtype]
    count = int(np.prod(shape))
    tensor = TensorSpec.contiguous("weight", kind, shape, "file", 0)
    law = REGISTRY.bind(parse_call(call)).resolve(tensor).law
    flops = law.flops if isinstance(law, WholeLaw) else 0
    engine = CompiledEngine(choose(Work(0, 1, flops), threads=threads).engine.orthonormal, threads=threads)
    out = np.zeros(tensor.nbytes, np.uint8)

    def run() -> None:
        ready = law.prepared(engine.draws(_KEY)) if isinstance(law, WholeLaw) else law

        def piece(first: int) -> None:
            last = min(first + _AT_ONCE, count)
            engine.fill([LawRun(ready, _KEY, first, last, kind)], out[first * kind.width : last * kind.width])

        pieces = range(0, count, _AT_ONCE)
        if threads == 1:
            list(map(piece, pieces))
            return
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(piece, pieces))

    return run


def theirs(initialize: Callable[[torch.Tensor], object], shape: tuple[int, ...], dtype: str, threads: int) -> Function:
    """Fills such a tensor by torch."""
    tensor = torch.zeros(shape, dtype=getattr(torch, dtype))

    def run() -> None:
        torch.set_num_threads(threads)
        initialize(tensor)

    return run


_TIMES = 64
"""How often a tensor is filled that fits the processor's cache, as a piece of a file does."""
_PIECE, _MANY = (1 << 20,), (64, 1 << 20)
_ALL = processors()
PAIRS = {
    "normal float32": ("normal", torch.Tensor.normal_, _PIECE, "float32", 1),
    "normal bfloat16": ("normal", torch.Tensor.normal_, _PIECE, "bfloat16", 1),
    "trunc_normal": ("trunc_normal", torch.nn.init.trunc_normal_, _MANY, "float32", _ALL),
    "sparse": ("sparse:sparsity=0.5", partial(torch.nn.init.sparse_, sparsity=0.5), (8192, 8192), "float32", _ALL),
    "orthogonal": ("orthogonal", torch.nn.init.orthogonal_, (4096, 4096), "float32", _ALL),
}
"""Our call, torch's function, shape, dtype, threads."""


def compare(name: str, runs: int) -> tuple[list[float], list[float]]:
    """Seconds of each side, run in turn after one that does not count."""
    call, initialize, *rest = PAIRS[name]
    sides = ours(call, *rest), theirs(initialize, *rest)
    seconds: tuple[list[float], list[float]] = ([], [])
    for _ in range(runs + 1):
        for side, taken in zip(sides, seconds, strict=True):
            started = time.perf_counter()
            for _ in range(_TIMES if rest[0] == _PIECE else 1):
                side()
            taken.append(time.perf_counter() - started)
    return seconds[0][1:], seconds[1][1:]


if __name__ == "__main__":
    print(json.dumps(compare(sys.argv[1], int(sys.argv[2]))))
