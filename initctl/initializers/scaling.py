"""Initializers that scale a normal or uniform law by the tensor's fans."""

from __future__ import annotations

from math import sqrt
from typing import TYPE_CHECKING

from initctl.initializers.fans import Fans, fans
from initctl.initializers.initializer import Resolved
from initctl.stream import Normal, TruncNormal, Uniform

if TYPE_CHECKING:
    from initctl.tensors import TensorSpec

MODES = ("fan_in", "fan_out")
SCALING_MODES = (*MODES, "fan_avg", "fan_geo_avg")
DISTRIBUTIONS = ("truncated_normal", "normal", "uniform")

UNIT_TRUNCATED_STD = 0.87962566103423978
"""Standard deviation of a standard normal variable cut at ±2: jax divides by it, so that the result has the variance
that was asked for."""

GELU_GAIN = 1.5335304411955353
"""1 / sqrt(E[gelu(z)²]) for a standard normal z, as sqrt(2) is that of relu; the mean is 1/3 + 1 / (2π sqrt(3)).

Of the exact gelu(z) = z · Φ(z), not of its tanh form."""
SILU_GAIN = 1.676532470331091
"""The same for silu(z) = z / (1 + e^-z): the mean, by quadrature, is 0.35577551981735216."""

_LINEAR = ("linear", "conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d")
_TORCH_GAINS = dict.fromkeys((*_LINEAR, "sigmoid"), 1.0) | {"tanh": 5 / 3, "relu": sqrt(2), "selu": 3 / 4}
_GAINS = _TORCH_GAINS | {"gelu": GELU_GAIN, "silu": SILU_GAIN}
NONLINEARITIES = (*_GAINS, "leaky_relu")


def calculate_gain(nonlinearity: str, slope: float) -> float:
    """What `torch.nn.init.calculate_gain` gives, and that of gelu and silu, which it does not know.

    `slope` is that of leaky_relu below zero, and of no other. It is squared by a product, which overflows to infinity,
    and so to a gain of 0, where a power would raise.
    """
    return sqrt(2 / (1 + slope * slope)) if nonlinearity == "leaky_relu" else _GAINS[nonlinearity]


def xavier_uniform(tensor: TensorSpec, *, gain: float, layout: str | None) -> Resolved:
    """Glorot and Bengio 2010: bound = gain · sqrt(6 / (fan_in + fan_out))."""
    sizes = fans(tensor.shape, layout)
    return _uniform(sqrt(3) * _xavier_std(sizes, gain), sizes._asdict())


def xavier_normal(tensor: TensorSpec, *, gain: float, layout: str | None) -> Resolved:
    """Glorot and Bengio 2010: std = gain · sqrt(2 / (fan_in + fan_out))."""
    sizes = fans(tensor.shape, layout)
    return _normal(_xavier_std(sizes, gain), sizes._asdict())


def kaiming_uniform(tensor: TensorSpec, *, a: float, mode: str, nonlinearity: str, layout: str | None) -> Resolved:
    """He et al. 2015: bound = gain · sqrt(3 / fan)."""
    fan = getattr(fans(tensor.shape, layout), mode)
    return _uniform(sqrt(3) * (calculate_gain(nonlinearity, a) / sqrt(fan)), {mode: fan})


def kaiming_normal(tensor: TensorSpec, *, a: float, mode: str, nonlinearity: str, layout: str | None) -> Resolved:
    """He et al. 2015: std = gain / sqrt(fan)."""
    fan = getattr(fans(tensor.shape, layout), mode)
    return _normal(calculate_gain(nonlinearity, a) / sqrt(fan), {mode: fan})


def variance_scaling(tensor: TensorSpec, *, scale: float, mode: str, distribution: str, layout: str | None) -> Resolved:
    """jax.nn.initializers.variance_scaling: a law of variance scale / fan."""
    fan = _fan(fans(tensor.shape, layout), mode)
    std = sqrt(scale / fan)
    numbers = {mode: fan}
    match distribution:
        case "uniform":
            return _uniform(sqrt(3) * std, numbers)
        case "normal":
            return _normal(std, numbers)
    return _truncated_normal(std, numbers)


def lecun_normal(tensor: TensorSpec, *, layout: str | None) -> Resolved:
    return variance_scaling(tensor, scale=1, mode="fan_in", distribution="truncated_normal", layout=layout)


def lecun_uniform(tensor: TensorSpec, *, layout: str | None) -> Resolved:
    return variance_scaling(tensor, scale=1, mode="fan_in", distribution="uniform", layout=layout)


def _xavier_std(sizes: Fans, gain: float) -> float:
    return gain * sqrt(2 / (sizes.fan_in + sizes.fan_out))


def _fan(sizes: Fans, mode: str) -> float:
    match mode:
        case "fan_avg":
            return (sizes.fan_in + sizes.fan_out) / 2
        case "fan_geo_avg":
            return sqrt(sizes.fan_in * sizes.fan_out)
    return float(getattr(sizes, mode))


def _uniform(bound: float, numbers: dict[str, float]) -> Resolved:
    return Resolved(Uniform(-bound, bound), {**numbers, "bound": bound})


def _normal(std: float, numbers: dict[str, float]) -> Resolved:
    return Resolved(Normal(0, std), {**numbers, "std": std})


def _truncated_normal(std: float, numbers: dict[str, float]) -> Resolved:
    """Cut at two standard deviations of the law before the cut; `std` is what remains after it."""
    if std == 0:
        return _normal(std, numbers)
    wide = std / UNIT_TRUNCATED_STD
    return Resolved(TruncNormal(0, wide, -2 * wide, 2 * wide), {**numbers, "std": std})
