"""The torch engine: value stream v1 as torch operations, for a GPU.

It makes the same integer and float32 steps as the reference. Each is a separate operation, so that each is rounded
once. Words are in 64-bit integers, since torch has no 32-bit products. On a processor, `torch.sqrt` of float32 is not
correctly rounded; computed in float64 and rounded to float32, it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from queue import LifoQueue
from typing import TYPE_CHECKING, Any, ClassVar, cast

import numpy as np
import torch

from initctl.errors import Problem, StorageError, UsageError, shown
from initctl.stream import elementary
from initctl.stream.draws import Draws
from initctl.stream.elementary import rebuilt
from initctl.stream.engines.engine import Engine, LawRun
from initctl.stream.engines.selfcheck import gives_reference_bits
from initctl.stream.laws import Normal, TruncNormal, Uniform
from initctl.stream.philox import LANES, lanes
from initctl.suggestions import did_you_mean

if TYPE_CHECKING:
    from types import ModuleType

    from numpy.typing import NDArray
    from torch import Tensor

    from initctl.stream.key import Key

    Bytes = NDArray[np.uint8]
    Words = Any
    Floats = NDArray[np.float32]

_WORD = 0xFFFFFFFF
_RANDOM = (Uniform, Normal, TruncNormal)
_ELSEWHERE = "use --device cpu"
_KINDS = ("cpu", "cuda", "auto")
"""Devices to suggest in place of an unknown one."""
_AT_ONCE = 1 << 20
"""Numbers that are computed at a time, each with about 100 bytes of the device's memory: enough to keep it busy."""
_PART = 4 * _AT_ONCE
"""Bytes of a buffer: `_AT_ONCE` numbers in float32."""
_TURNS = 3
"""How many threads compute on the device at a time. Each has a stream, for which torch keeps the memory it used."""


def orthonormal_on(gaussian: Floats, device: str, *, threads: int | None = None) -> Floats:
    """Like `initctl.stream.orthonormal`, but by torch on `device`. On the processor it uses `threads` threads.

    Raises `StorageError` if the device is missing, or has too little memory.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(threads or before)
    try:
        with device_errors(f"QR on {device}", hint=None if device == "cpu" else _ELSEWHERE):
            matrices = torch.from_numpy(np.ascontiguousarray(gaussian)).to(device)
            is_wide = matrices.shape[-2] < matrices.shape[-1]
            # the steps of `torch.linalg.qr`, without copying R
            reflectors, scales = torch.geqrf(matrices.mT if is_wide else matrices)
            q = torch.linalg.householder_product(reflectors, scales)
            q *= torch.where(reflectors.diagonal(dim1=-2, dim2=-1) < 0, -1.0, 1.0).unsqueeze(-2)
            result: Floats = (q.mT if is_wide else q).cpu().numpy()
            return result
    finally:
        torch.set_num_threads(before)


_OWN = {
    "f32": lambda x: x.to(torch.float32),
    "f64": lambda x: x.to(torch.float64),
    "i32": lambda x: x.to(torch.int32),
    "u32": lambda x: x & _WORD,
    "FLOAT32": torch.float32,
    "INT32": torch.int32,
    "where": torch.where,
    "sqrt": lambda x: torch.sqrt(x.to(torch.float64)).to(torch.float32),
    "stack": torch.stack,
}
"""The meaning of these names in formulas, for tensors of torch."""


@dataclass(frozen=True, slots=True)
class TorchDraws(Draws):
    """The same random numbers, as tensors on a device."""

    device: torch.device = field(kw_only=True)

    formulas: ClassVar[ModuleType] = rebuilt(elementary, _OWN, by=lambda function: function)

    def words(self, start: int, stop: int, *, stream: int = 0) -> Words:
        first, last = start // LANES, -(-stop // LANES)
        block = torch.arange(first, last, dtype=torch.int64, device=self.device)
        words = torch.stack(lanes(*self.key, block, stream), dim=1).reshape(-1) & _WORD
        return words[start - LANES * first : stop - LANES * first]


class TorchEngine(Engine):
    """Computes random laws on floating-point tensors on `device`, everything else with the engine `host`.

    A few threads at a time have a stream on the device, and results are copied through page-locked buffers: while one
    thread writes, the device computes for another. Random values that are filled into a tensor on the device do not
    leave it. Raises `UsageError` if torch does not know the device, and `StorageError` if it is missing or does not
    compute the reference's bits.
    """

    def __init__(self, device: str, host: Engine) -> None:
        super().__init__(host.orthonormal)
        self.device = torch_device(device)
        self.host = host
        self.name = f"torch on {self.device}"
        self._streams: LifoQueue[torch.cuda.Stream | None] = LifoQueue()
        for _ in range(_TURNS):
            self._streams.put(_new_stream(self.device))
        if not gives_reference_bits(self):
            message = f"{self.name}: computes different values than the processor"
            raise StorageError(Problem("device.differs", message, _ELSEWHERE))

    def draws(self, key: Key) -> Draws:
        return self.host.draws(key)

    def buffer(self) -> Bytes:
        with device_errors(self.name):
            return torch.empty(_PART, dtype=torch.uint8, pin_memory=self.device.type == "cuda").numpy()

    def fill(self, runs: Sequence[LawRun], out: Bytes | Tensor) -> None:
        """As for other engines; `out` may also be a vector of bytes on the device."""
        super().fill(runs, cast("Bytes", out))

    def fill_run(self, run: LawRun, out: Bytes | Tensor) -> None:
        law, key, start, stop, dtype = run
        if type(law) not in _RANDOM or not dtype.is_floating:
            self._fill_by_host(run, out)
            return
        with device_errors(self.name), self._stream():
            kind = getattr(torch, dtype.numpy.name)
            result = out if isinstance(out, torch.Tensor) else torch.from_numpy(out)
            draws = TorchDraws(key, device=self.device)
            for first in range(start, stop, _AT_ONCE):
                last = min(first + _AT_ONCE, stop)
                stored = cast("Tensor", law.values(draws, first, last)).to(kind).view(torch.uint8)
                part = result[(first - start) * dtype.width : (last - start) * dtype.width]
                part.copy_(stored, non_blocking=self.device.type == "cuda")
            if self.device.type == "cuda":
                torch.cuda.current_stream().synchronize()

    def _fill_by_host(self, run: LawRun, out: Bytes | Tensor) -> None:
        if not isinstance(out, torch.Tensor):
            self.host.fill([run], out)
            return
        content = np.empty(run.nbytes, np.uint8)
        self.host.fill([run], content)
        with device_errors(self.name):
            out.copy_(torch.from_numpy(content))

    @contextmanager
    def _stream(self) -> Iterator[None]:
        """Waits for a free stream, and uses it until the end of the block."""
        stream = self._streams.get()
        try:
            with nullcontext() if stream is None else torch.cuda.stream(stream):
                yield
        finally:
            self._streams.put(stream)


def _new_stream(device: torch.device) -> torch.cuda.Stream | None:
    return torch.cuda.Stream(device) if device.type == "cuda" else None  # type: ignore[no-untyped-call]


def torch_device(name: str) -> torch.device:
    """The device that torch calls `name`.

    Raises `UsageError` if torch does not know the name, `StorageError` if the device is missing.
    """
    try:
        device = torch.device(name)
    except RuntimeError:
        kind, colon, number = name.partition(":")
        hint = did_you_mean(kind, _KINDS, behind=colon + number) or "use cpu, cuda, cuda:N or auto"
        fault = f"unknown device {shown(name)}"
        raise UsageError(Problem("usage.device", fault, hint)) from None
    with device_errors(f"device {shown(name)}"):
        torch.zeros(1, device=device).item()
    return device


def free_memory(name: str) -> int | None:
    """The bytes of memory that torch can still use on the device `name`; None if the device does not report them.

    Memory that torch keeps for later counts as free. Raises `StorageError`.
    """
    device = torch.device(name)
    if device.type != "cuda":
        return None
    with device_errors(f"device {shown(name)}"):
        held_back = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return torch.cuda.mem_get_info(device)[0] + held_back


@contextmanager
def device_errors(name: str, *, hint: str | None = _ELSEWHERE) -> Iterator[None]:
    """Turn torch's errors about a device that is missing, busy or full into a `StorageError`."""
    try:
        yield
    except NotImplementedError as error:
        raise StorageError(Problem("device.failed", f"{name}: this torch does not support it", hint)) from error
    except (RuntimeError, AssertionError, TypeError) as error:
        reason = shown(str(error).partition("\n")[0])
        raise StorageError(Problem("device.failed", f"{name}: {reason}", hint)) from error
