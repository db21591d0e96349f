"""Initializers that scale a normal or uniform law by the tensor's fans."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate
from math import sqrt
from typing import TYPE_CHECKING, Unpack

from initctl.initializers.fans import Arrangement, weights
from initctl.initializers.initializer import Resolved
from initctl.stream import Fused, Law, Normal, TruncNormal, Uniform

if TYPE_CHECKING:
    from initctl.tensors import Fans, TensorSpec

    _Scaled = tuple[Law, dict[str, float]]
    """A law for the fans of one weight, and its derived numbers."""

MODES = ("fan_in", "fan_out")
SCALING_MODES = (*MODES, "fan_avg", "fan_geo_avg")
DISTRIBUTIONS = ("truncated_normal", "normal", "uniform")

UNIT_TRUNCATED_STD = 0.87962566103423978
"""Standard deviation of a standard normal variable cut at ±2: jax divides by it, so that the result has the requested
variance."""

GELU_GAIN = 1.5335304411955353
"""1 / sqrt(E[gelu(z)²]) for a standard normal z, whose mean square is 1/3 + 1 / (2π sqrt(3)); for relu it is sqrt(2).

This is for the exact gelu(z) = z · Φ(z), not for its tanh form."""
SILU_GAIN = 1.676532470331091
"""The same for silu(z) = z / (1 + e^-z): the mean square, by quadrature, is 0.35577551981735216."""

_LINEAR = ("linear", "conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d")
_TORCH_GAINS = dict.fromkeys((*_LINEAR, "sigmoid"), 1.0) | {"tanh": 5 / 3, "relu": sqrt(2), "selu": 3 / 4}
_GAINS = _TORCH_GAINS | {"gelu": GELU_GAIN, "silu": SILU_GAIN}
NONLINEARITIES = (*_GAINS, "leaky_relu")


def calculate_gain(nonlinearity: str, slope: float) -> float:
    """The gain of `torch.nn.init.calculate_gain`, and those of gelu and silu, which torch does not have.

    `slope` is the slope of leaky_relu below zero; others ignore it. It is squared by a product, which overflows to
    infinity and gives a gain of 0; a power would raise an exception.
    """
    return sqrt(2 / (1 + slope * slope)) if nonlinearity == "leaky_relu" else _GAINS[nonlinearity]


def xavier(tensor: TensorSpec, *, distribution: str, gain: float, **arrangement: Unpack[Arrangement]) -> Resolved:
    """Glorot and Bengio 2010: std = gain · sqrt(2 / (fan_in + fan_out))."""

    def law(sizes: Fans) -> _Scaled:
        return _law(distribution, gain * sqrt(2 / (sizes.fan_in + sizes.fan_out)), sizes._asdict())

    return _by_fans(tensor, arrangement, law)


def kaiming(
    tensor: TensorSpec,
    *,
    distribution: str,
    a: float,
    mode: str,
    nonlinearity: str,
    **arrangement: Unpack[Arrangement],
) -> Resolved:
    """He et al. 2015: std = gain / sqrt(fan)."""

    def law(sizes: Fans) -> _Scaled:
        fan = getattr(sizes, mode)
        return _law(distribution, calculate_gain(nonlinearity, a) / sqrt(fan), {mode: fan})

    return _by_fans(tensor, arrangement, law)


def variance_scaling(
    tensor: TensorSpec, *, scale: float, mode: str, distribution: str, **arrangement: Unpack[Arrangement]
) -> Resolved:
    """jax.nn.initializers.variance_scaling: a law of variance scale / fan.

    LeCun et al. 1998: variance 1 / fan_in. A truncated normal is cut at two standard deviations of the uncut law.
    """

    def law(sizes: Fans) -> _Scaled:
        fan = _fan(sizes, mode)
        return _law(distribution, sqrt(scale / fan), {mode: fan})

    return _by_fans(tensor, arrangement, law)


def spectral(tensor: TensorSpec, *, gain: float, **arrangement: Unpack[Arrangement]) -> Resolved:
    """Yang, Simon, Bernstein 2023: std = gain / sqrt(fan_in) · min(1, sqrt(fan_out / fan_in))."""

    def law(sizes: Fans) -> _Scaled:
        std = gain / sqrt(sizes.fan_in) * min(1, sqrt(sizes.fan_out / sizes.fan_in))
        return _law("normal", std, sizes._asdict())

    return _by_fans(tensor, arrangement, law)


def _by_fans(tensor: TensorSpec, arrangement: Arrangement, law: Callable[[Fans], _Scaled]) -> Resolved:
    """The law for the tensor's fans; if parts have different fans, a law for each."""
    parts = weights(tensor.shape, **arrangement)
    laws, numbers = zip(*(law(part.fans) for part in parts), strict=True)
    if len(set(laws)) == 1:
        return Resolved(laws[0], _by_part(numbers))
    ends = tuple(accumulate(part.size("o") for part in parts))
    return Resolved(Fused(laws, ends, parts[0].inner), _by_part(numbers))


def _by_part(numbers: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The numbers of all parts: `std` if they agree, else `std[0]` for the first part, and so on."""
    found: dict[str, float] = {}
    for name in numbers[0]:
        values = [each[name] for each in numbers]
        if len(set(values)) == 1:
            found[name] = values[0]
        else:
            found |= {f"{name}[{part}]": value for part, value in enumerate(values)}
    return found


def _fan(sizes: Fans, mode: str) -> float:
    match mode:
        case "fan_avg":
            return (sizes.fan_in + sizes.fan_out) / 2
        case "fan_geo_avg":
            return sqrt(sizes.fan_in * sizes.fan_out)
    return float(getattr(sizes, mode))


def _law(distribution: str, std: float, numbers: dict[str, float]) -> _Scaled:
    """The law with mean 0 and standard deviation `std`; a truncated one is cut at two of the uncut law."""
    if distribution == "uniform":
        bound = sqrt(3) * std
        return Uniform(-bound, bound), {**numbers, "bound": bound}
    law: Law = Normal(0, std)
    if distribution == "truncated_normal" and std != 0:
        wide = std / UNIT_TRUNCATED_STD
        law = TruncNormal(0, wide, -2 * wide, 2 * wide)
    return law, {**numbers, "std": std}
