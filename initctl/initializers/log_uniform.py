"""Initializers whose logarithm is uniform: log_uniform, and the bias of Mamba's time steps."""

from __future__ import annotations

from typing import TYPE_CHECKING

from initctl.initializers.initializer import Resolved, Unfit
from initctl.stream import Uniform
from initctl.stream.laws import InverseSoftplus, LogUniform, inner_bounds

if TYPE_CHECKING:
    from initctl.tensors import TensorSpec

_SMALLEST = 2.0**-126
"""The smallest normal float32 number."""


def log_uniform(_: TensorSpec, *, a: float, b: float) -> Resolved:
    """exp(U(ln a, ln b)), 2^-126 ≤ a ≤ b."""
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
