"""Which engine does a piece of work, and why. Costs are in seconds, measured on one core of an AMD EPYC 9004."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from initctl.stream.devices import CPU, TORCH_FLOP
from initctl.stream.engines.joined import JoinedEngine
from initctl.stream.orthonormal import orthonormal

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from initctl.stream.engines.engine import Engine

    Decomposition = Callable[[NDArray[np.float32]], NDArray[np.float32]]

_NUMPY_NUMBER, _NUMPY_CALL = 3e-8, 1.2e-4
"""The reference's costs for each random number, and for each tensor of any size."""
_LOADING = 0.06
"""The cost of loading compiled code."""
_WORTH_COMPILING = 6.0
"""Compiling takes about 20 seconds, once for a machine. It begins when all work so far would take NumPy this long."""

_NUMPY_FLOP = 6.0e-11
"""The cost of one floating-point operation of a QR decomposition in NumPy, which uses double precision."""
_IMPORTING_TORCH = 1.3


class Work(NamedTuple):
    """The work of the processor: random numbers, their tensors, and the operations of decompositions."""

    numbers: int
    tensors: int
    flops: float = 0


class Choice(NamedTuple):
    """An engine, and the reason for it, as `--verbose` prints it."""

    engine: Engine
    reason: str


def choose(work: Work, *, threads: int, device: str = CPU, on_compiling: Callable[[], None] | None = None) -> Choice:
    """The engine for `work` on `device`: `threads` of the processor, or any device that torch knows.

    `on_compiling` is called before code is compiled, which takes about half a minute.

    Raises `StorageError` if the device is missing, or computes different bits.
    """
    if device == CPU:
        decompose, by = _decomposition(work.flops, threads)
        engine, reason = _on_cpu(work, decompose, threads, on_compiling)
        return Choice(engine, f"{reason}{by}")
    from initctl.stream.engines.device import TorchEngine, orthonormal_on

    host, _ = _on_cpu(work, partial(orthonormal_on, device=device), threads, on_compiling)
    return Choice(TorchEngine(device, host), f"the plan's device; other work by engine {host.name}")


def _decomposition(flops: float, threads: int) -> tuple[Decomposition, str]:
    """LAPACK's QR through NumPy, or through torch if that saves more time than importing it takes; and the reason."""
    if not flops:
        return orthonormal, ""
    if flops * (_NUMPY_FLOP - TORCH_FLOP) / threads < _IMPORTING_TORCH:
        return orthonormal, "; QR by numpy"
    try:
        from initctl.stream.engines.device import orthonormal_on
    except ImportError as error:  # too little memory for it
        return orthonormal, f"; QR by numpy: torch cannot be imported: {error}"

    return partial(orthonormal_on, device=CPU, threads=threads), "; QR by torch"


def _on_cpu(
    work: Work, decompose: Decomposition, threads: int, on_compiling: Callable[[], None] | None
) -> tuple[Engine, str]:
    seconds = work.numbers * _NUMPY_NUMBER / threads + work.tensors * _NUMPY_CALL
    if seconds < _LOADING:
        return JoinedEngine(decompose), "too little work to load compiled code"
    from initctl.stream.engines.compiled import CompiledEngine
    from initctl.stream.engines.object_code import NoCompiler, is_cached, work_without

    try:
        if not is_cached():
            if work_without(seconds) < _WORTH_COMPILING:
                return JoinedEngine(decompose), f"about {seconds:.1f} s of work, less than compiling takes"
            if on_compiling:
                on_compiling()
        engine = CompiledEngine(decompose, threads=threads)
    except NoCompiler as fault:
        return JoinedEngine(decompose), f"compiled code is not available: {fault}"
    return engine, f"numpy would take about {seconds:.1f} s"
