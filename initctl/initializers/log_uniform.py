"""Initializers whose logarithm is uniform: log_uniform, and the bias of Mamba's time steps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from initctl.initializers.initializer import Resolved, Unfit
from initctl.stream import Uniform
from initctl.stream.elementary64 import exponential, natural_log, one_minus_exponential
from initctl.stream.laws import inner_bounds

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from initctl.stream import Draws
    from initctl.tensors import TensorSpec

    Doubles = NDArray[np.float64]

"""Mamba's shortest and longest time step."""
_SMALLEST = float(np.finfo(np.float32).tiny)


@dataclass(frozen=True, slots=True)
class LogUniform:
    """e^u of a u that is uniform between ln `a` and ln `b`, in float64, rounded once, never outside [a, b]."""

    a: float
    b: float

    @property
    def largest(self) -> float:
        return self.b

    def values(self, draws: Draws, start: int, stop: int) -> NDArray[np.float32]:
        values = _log_uniform(self.a, self.b, draws, start, stop).astype(np.float32)
        return np.clip(values, *inner_bounds(self.a, self.b))


@dataclass(frozen=True, slots=True)
class InverseSoftplus:
    """ln(e^x - 1), of which the softplus is x, of a log-uniform x, or of `floor` where x is smaller.

    In float64, rounded once.
    """

    a: float
    b: float
    floor: float

    @property
    def largest(self) -> float:
        """At either end, and half a unit more for the rounding."""
        ends = np.maximum(np.array([self.a, self.b]), self.floor)
        return float(np.abs(_inverse_softplus(ends)).max() * (1 + 2.0**-24))

    def values(self, draws: Draws, start: int, stop: int) -> NDArray[np.float32]:
        steps = np.maximum(_log_uniform(self.a, self.b, draws, start, stop), self.floor)
        return _inverse_softplus(steps).astype(np.float32)


def log_uniform(_: TensorSpec, *, a: float, b: float) -> Resolved:
    _check_size(a)
    if a == b:
        return Resolved(Uniform(a, a))
    low, high = inner_bounds(a, b)
    if low > high:
        raise Unfit(f"no float32 number lies from a={a!r} to b={b!r}")
    return Resolved(LogUniform(float(a), float(b)))


def inv_softplus_log_uniform(_: TensorSpec, *, a: float, b: float, floor: float) -> Resolved:
    """Mamba's dt_proj.bias: mamba_ssm/modules/mamba_simple.py, and transformers' models/mamba/modeling_mamba.py."""
    _check_size(a)
    return Resolved(InverseSoftplus(float(a), float(b), float(floor)))


def _check_size(a: float) -> None:
    if a < _SMALLEST:
        raise Unfit(f"a={a:g} is closer to 0 than float32 numbers of full precision, {_SMALLEST:.3g} and more")


def _log_uniform(a: float, b: float, draws: Draws, start: int, stop: int) -> Doubles:
    low, high = natural_log(np.array([a, b]))
    return np.clip(exponential(low + (high - low) * draws.fraction01(start, stop)), a, b)


def _inverse_softplus(x: Doubles) -> Doubles:
    return x + natural_log(one_minus_exponential(x))
