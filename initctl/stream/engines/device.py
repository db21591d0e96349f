"""The torch engine: value stream v1 as torch operations, for a GPU.

The same integer and float32 steps as the reference, each an operation of its own, so that each is rounded once. Words
are kept in 64-bit integers, since torch has no 32-bit products. float32 `torch.sqrt` is not correctly rounded on a
processor; through float64 and back it is.
"""

from __future__ import annotations

from contextlib import contextmanager, nullcontext
from queue import LifoQueue
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from initctl.errors import Problem, StorageError, UsageError, shown
from initctl.stream import elementary
from initctl.stream.engines.engine import fill_each
from initctl.stream.engines.selfcheck import gives_reference_bits
from initctl.stream.laws import Normal, TruncNormal, Uniform
from initctl.stream.philox import LANES, MULTIPLIERS, ROUNDS, WEYL
from initctl.suggestions import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from initctl.dtypes import DType
    from initctl.stream.draws import Draws
    from initctl.stream.engines.engine import LawRun, NumpyEngine
    from initctl.stream.key import Key
    from initctl.stream.protocols import Law

    Bytes = NDArray[np.uint8]
    Floats = NDArray[np.float32]

_WORD = 0xFFFFFFFF
_HALF = 32
_ELSEWHERE = "use --device cpu"
_KINDS = ("cpu", "cuda", "auto")
"""What a device may have been meant as."""
_AT_ONCE = 1 << 20
"""Numbers that are computed at a time, in some 100 bytes of the device's memory each: enough to keep it busy."""
_PART = 4 * _AT_ONCE
"""Bytes that are asked for at a time: so many numbers, in float32."""
_TURNS = 3
"""Threads that compute on the device at a time, each in a stream, for which torch keeps the memory that it used."""


def orthonormal_on(gaussian: Floats, device: str, *, threads: int | None = None) -> Floats:
    """As `initctl.stream.orthonormal`, by torch's LAPACK on `device`: `threads` of the processor's, if it is that.

    Raises `StorageError` if the device is missing, or has too little memory.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(threads or before)
    try:
        with device_errors(f"QR on {device}", hint=None if device == "cpu" else _ELSEWHERE):
            matrices = torch.from_numpy(np.ascontiguousarray(gaussian)).to(device)
            is_wide = matrices.shape[-2] < matrices.shape[-1]
            # what `torch.linalg.qr` does, but R is not copied
            reflectors, scales = torch.geqrf(matrices.mT if is_wide else matrices)
            q = torch.linalg.householder_product(reflectors, scales)
            q *= torch.where(reflectors.diagonal(dim1=-2, dim2=-1) < 0, -1.0, 1.0).unsqueeze(-2)
            result: Floats = (q.mT if is_wide else q).cpu().numpy()
            return result
    finally:
        torch.set_num_threads(before)


class TorchEngine:
    """Random laws on floating-point tensors on `device`; everything else by `host`, whose draws it hands out.

    A few threads at a time have a stream there, and results come back through page-locked buffers: while one thread
    writes, another's part is computed. Raises `UsageError` if torch knows no such device, and `StorageError` if
    it is not there or does not compute the reference's bits.
    """

    def __init__(self, device: str, host: NumpyEngine) -> None:
        self.device = torch_device(device)
        self.host = host
        self.name = f"torch on {self.device}"
        self._streams: LifoQueue[torch.cuda.Stream | None] = LifoQueue()
        for _ in range(_TURNS):
            self._streams.put(_new_stream(self.device))
        if not gives_reference_bits(self):
            message = f"{self.name}: computes other values than the processor"
            raise StorageError(Problem("device.differs", message, _ELSEWHERE))

    def draws(self, key: Key) -> Draws:
        return self.host.draws(key)

    def buffer(self) -> Bytes:
        with device_errors(self.name):
            return torch.empty(_PART, dtype=torch.uint8, pin_memory=self.device.type == "cuda").numpy()

    def fill(self, law: Law, key: Key, start: int, stop: int, dtype: DType, out: Bytes) -> None:
        if type(law) not in _VALUES or not dtype.is_floating:
            self.host.fill(law, key, start, stop, dtype, out)
            return
        with device_errors(self.name), self._stream():
            kind, result = getattr(torch, dtype.numpy.name), torch.from_numpy(out)
            for first in range(start, stop, _AT_ONCE):
                last = min(first + _AT_ONCE, stop)
                stored = self._values(law, key, first, last).to(kind).view(torch.uint8)
                part = result[(first - start) * dtype.width : (last - start) * dtype.width]
                part.copy_(stored, non_blocking=self.device.type == "cuda")
            if self.device.type == "cuda":
                torch.cuda.current_stream().synchronize()

    def fill_many(self, runs: Sequence[LawRun], out: Bytes) -> None:
        fill_each(self, runs, out)

    def _values(self, law: Law, key: Key, start: int, stop: int) -> Tensor:
        first = start // LANES
        words = _words(key, first, -(-stop // LANES), self.device)
        values: Tensor = _VALUES[type(law)](words, law)[start - LANES * first : stop - LANES * first]
        return values

    @contextmanager
    def _stream(self) -> Iterator[None]:
        """A stream for the time of the body, once one is free."""
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

    Raises `UsageError` if torch knows none of that name, `StorageError` if it is not there.
    """
    try:
        device = torch.device(name)
    except RuntimeError:
        kind, colon, number = name.partition(":")
        hint = did_you_mean(kind, _KINDS, behind=colon + number) or "write cpu, cuda, cuda:N or auto"
        fault = f"device: {shown(name)} is not one that torch knows"
        raise UsageError(Problem("usage.device", fault, hint)) from None
    with device_errors(f"device {shown(name)}"):
        torch.zeros(1, device=device).item()
    return device


def free_memory(name: str) -> int | None:
    """Bytes of memory that torch can still have on the device called `name`, if it reports that.

    What it holds back for later counts as free. Raises `StorageError`.
    """
    device = torch.device(name)
    if device.type != "cuda":
        return None
    with device_errors(f"device {shown(name)}"):
        held_back = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return torch.cuda.mem_get_info(device)[0] + held_back


@contextmanager
def device_errors(name: str, *, hint: str | None = _ELSEWHERE) -> Iterator[None]:
    """Turn what torch raises if a device is missing, busy or full into a `StorageError`."""
    try:
        yield
    except NotImplementedError as error:
        raise StorageError(Problem("device.failed", f"{name}: this torch is built without it", hint)) from error
    except (RuntimeError, AssertionError, TypeError) as error:
        reason = shown(str(error).partition("\n")[0])
        raise StorageError(Problem("device.failed", f"{name}: {reason}", hint)) from error


def _words(key: Key, first: int, last: int, device: torch.device) -> Tensor:
    """The words of blocks `first` to `last - 1` as int64, [blocks, 4]."""
    block = torch.arange(first, last, dtype=torch.int64, device=device)
    c0, c1 = block & _WORD, block >> _HALF
    c2 = c3 = torch.zeros_like(block)
    k0, k1 = key
    multiplier0, multiplier1 = map(int, MULTIPLIERS)
    for _ in range(ROUNDS):
        product0, product1 = c0 * multiplier0, c2 * multiplier1  # modulo 2^64: the halves are taken as unsigned
        c0, c1 = ((product1 >> _HALF) & _WORD) ^ c1 ^ k0, product1 & _WORD
        c2, c3 = ((product0 >> _HALF) & _WORD) ^ c3 ^ k1, product0 & _WORD
        k0, k1 = (k0 + WEYL[0]) & _WORD, (k1 + WEYL[1]) & _WORD
    return torch.stack((c0, c1, c2, c3), dim=1)


def _uniform(words: Tensor, law: Uniform) -> Tensor:
    uniform01 = (words.reshape(-1) >> 8).to(torch.float32) * 2.0**-24
    return uniform01 * _float32(law.b - law.a) + _float32(law.a)


def _normal(words: Tensor, law: Normal) -> Tensor:
    pairs = words.reshape(-1, 2)
    u = pairs[:, 0].to(torch.float32) * 2.0**-32 + 2.0**-33
    radius = _sqrt(_natural_log(u) * -2.0)
    sine, cosine = _sin_cos(pairs[:, 1])
    z = torch.stack((radius * cosine, radius * sine), dim=1).reshape(-1)
    return z * _float32(law.std) + _float32(law.mean)


def _truncated_normal(words: Tensor, law: TruncNormal) -> Tensor:
    fraction = (words.reshape(-1).to(torch.float64) + 0.5) * 2.0**-32
    low, high = law.tails
    p = (1 - fraction if law.is_above else fraction) * (high - low) + low
    z = _normal_quantile((p - 0.5).to(torch.float32), torch.minimum(p, 1 - p).to(torch.float32))
    values = (-z if law.is_above else z) * _float32(law.std) + _float32(law.mean)
    a, b = map(float, law.inner_bounds)
    values = torch.where(values < a, a, values)
    return torch.where(values > b, b, values)


_VALUES: dict[type, Any] = {Uniform: _uniform, Normal: _normal, TruncNormal: _truncated_normal}


def _natural_log(x: Tensor) -> Tensor:
    bits = x.view(torch.int32)
    exponent = (bits - int(elementary.SQRT_HALF_BITS)) >> elementary.MANTISSA_BITS
    f = (bits - (exponent << elementary.MANTISSA_BITS)).view(torch.float32) - 1.0
    power = exponent.to(torch.float32)
    square = f * f
    rest = _polynomial(elementary.LN_SERIES, f) * f * square
    rest = rest + power * float(elementary.LN2_LOW)
    rest = rest - square * 0.5
    return (f + rest) + power * float(elementary.LN2_HIGH)


def _sin_cos(turns: Tensor) -> tuple[Tensor, Tensor]:
    quarter_turn = int(elementary.QUARTER_TURN)
    quarter = ((turns + int(elementary.EIGHTH_TURN)) & _WORD) >> quarter_turn
    rest = turns - (quarter << quarter_turn)
    rest = torch.where(rest > _WORD >> 1, rest - _WORD - 1, rest)
    x = rest.to(torch.float32) * float(elementary.RADIANS)
    square = x * x
    sine = _polynomial(elementary.SIN_SERIES, square) * square * x + x
    cosine = _polynomial(elementary.COS_SERIES, square) * square * square - square * 0.5 + 1.0
    is_odd = (quarter & 1).bool()
    sine, cosine = torch.where(is_odd, cosine, sine), torch.where(is_odd, sine, cosine)
    sine = torch.where(quarter >= 2, -sine, sine)
    return sine, torch.where((quarter == 1) | (quarter == 2), -cosine, cosine)


def _normal_quantile(centred: Tensor, tail: Tensor) -> Tensor:
    r = float(elementary.CENTRAL_SQUARED) - centred * centred
    central = centred * _ratio(elementary.QUANTILE_CENTRAL, r)
    depth = _sqrt(-_natural_log(tail))
    near = _ratio(elementary.QUANTILE_TAIL, depth - float(elementary.TAIL_ORIGIN))
    far = _ratio(elementary.QUANTILE_FAR_TAIL, depth - float(elementary.FAR_TAIL))
    outer = torch.where(depth <= float(elementary.FAR_TAIL), near, far)
    outer = torch.where(centred < 0, -outer, outer)
    return torch.where(centred.abs() <= float(elementary.CENTRAL), central, outer)


def _polynomial(coefficients: Sequence[float], x: Tensor) -> Tensor:
    result = torch.full_like(x, coefficients[0])
    for coefficient in coefficients[1:]:
        result = result * x + _float32(coefficient)
    return result


def _ratio(coefficients: tuple[Sequence[float], Sequence[float]], x: Tensor) -> Tensor:
    numerator, denominator = coefficients
    return _polynomial(numerator, x) / _polynomial(denominator, x)


def _sqrt(x: Tensor) -> Tensor:
    return torch.sqrt(x.to(torch.float64)).to(torch.float32)


def _float32(number: float) -> float:
    return float(np.float32(number))
