"""Initializers that scale a normal or uniform law by the tensor's fans."""

from __future__ import annotations

from itertools import accumulate
from math import sqrt
from typing import TYPE_CHECKING, NamedTuple, Unpack

from initctl.initializers.fans import Arrangement, weights
from initctl.initializers.initializer import Resolved
from initctl.stream import Fused, Law, Normal, TruncNormal, Uniform

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from initctl.tensors import Fans, TensorSpec

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


class FanLaw(NamedTuple):
    """A law for the fans of one weight, and the numbers that led to it."""

    law: Law
    numbers: dict[str, float]


def calculate_gain(nonlinearity: str, slope: float) -> float:
    """What `torch.nn.init.calculate_gain` gives, and that of gelu and silu, which it does not know.

    `slope` is that of leaky_relu below zero, and of no other. It is squared by a product, which overflows to infinity,
    and so to a gain of 0, where a power would raise.
    """
    return sqrt(2 / (1 + slope * slope)) if nonlinearity == "leaky_relu" else _GAINS[nonlinearity]


def xavier_uniform(tensor: TensorSpec, *, gain: float, **arrangement: Unpack[Arrangement]) -> Resolved:
    """Glorot and Bengio 2010: bound = gain · sqrt(6 / (fan_in + fan_out))."""

    def law(sizes: Fans) -> FanLaw:
        return _uniform(sqrt(3) * _xavier_std(sizes, gain), sizes._asdict())

    return _by_fans(tensor, arrangement, law)


def xavier_normal(tensor: TensorSpec, *, gain: float, **arrangement: Unpack[Arrangement]) -> Resolved:
    """Glorot and Bengio 2010: std = gain · sqrt(2 / (fan_in + fan_out))."""

    def law(sizes: Fans) -> FanLaw:
        return _normal(_xavier_std(sizes, gain), sizes._asdict())

    return _by_fans(tensor, arrangement, law)


def kaiming_uniform(
    tensor: TensorSpec, *, a: float, mode: str, nonlinearity: str, **arrangement: Unpack[Arrangement]
) -> Resolved:
    """He et al. 2015: bound = gain · sqrt(3 / fan)."""

    def law(sizes: Fans) -> FanLaw:
        fan = getattr(sizes, mode)
        return _uniform(sqrt(3) * (calculate_gain(nonlinearity, a) / sqrt(fan)), {mode: fan})

    return _by_fans(tensor, arrangement, law)


def kaiming_normal(
    tensor: TensorSpec, *, a: float, mode: str, nonlinearity: str, **arrangement: Unpack[Arrangement]
) -> Resolved:
    """He et al. 2015: std = gain / sqrt(fan)."""

    def law(sizes: Fans) -> FanLaw:
        fan = getattr(sizes, mode)
        return _normal(calculate_gain(nonlinearity, a) / sqrt(fan), {mode: fan})

    return _by_fans(tensor, arrangement, law)


def variance_scaling(
    tensor: TensorSpec, *, scale: float, mode: str, distribution: str, **arrangement: Unpack[Arrangement]
) -> Resolved:
    """jax.nn.initializers.variance_scaling: a law of variance scale / fan."""

    def law(sizes: Fans) -> FanLaw:
        fan = _fan(sizes, mode)
        std = sqrt(scale / fan)
        numbers = {mode: fan}
        match distribution:
            case "uniform":
                return _uniform(sqrt(3) * std, numbers)
            case "normal":
                return _normal(std, numbers)
        return _truncated_normal(std, numbers)

    return _by_fans(tensor, arrangement, law)


def lecun_normal(tensor: TensorSpec, **arrangement: Unpack[Arrangement]) -> Resolved:
    """LeCun et al. 1998: variance 1 / fan_in, cut at two standard deviations of the law before the cut."""
    return variance_scaling(tensor, scale=1, mode="fan_in", distribution="truncated_normal", **arrangement)


def lecun_uniform(tensor: TensorSpec, **arrangement: Unpack[Arrangement]) -> Resolved:
    """LeCun et al. 1998: bound = sqrt(3 / fan_in)."""
    return variance_scaling(tensor, scale=1, mode="fan_in", distribution="uniform", **arrangement)


def _by_fans(tensor: TensorSpec, arrangement: Arrangement, law: Callable[[Fans], FanLaw]) -> Resolved:
    """What `law` gives for the tensor's fans; where parts have different fans, a law for each."""
    parts = weights(tensor.shape, **arrangement)
    laws, numbers = zip(*(law(part.fans) for part in parts), strict=True)
    if len(set(laws)) == 1:
        return Resolved(laws[0], _by_part(numbers))
    ends = tuple(accumulate(part.size("o") for part in parts))
    return Resolved(Fused(laws, ends, parts[0].inner), _by_part(numbers))


def _by_part(numbers: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The numbers of all parts: `std` where they agree, else `std[0]` for the first part, and so on."""
    found: dict[str, float] = {}
    for name in numbers[0]:
        values = [each[name] for each in numbers]
        if len(set(values)) == 1:
            found[name] = values[0]
        else:
            found |= {f"{name}[{part}]": value for part, value in enumerate(values)}
    return found


def _xavier_std(sizes: Fans, gain: float) -> float:
    return gain * sqrt(2 / (sizes.fan_in + sizes.fan_out))


def _fan(sizes: Fans, mode: str) -> float:
    match mode:
        case "fan_avg":
            return (sizes.fan_in + sizes.fan_out) / 2
        case "fan_geo_avg":
            return sqrt(sizes.fan_in * sizes.fan_out)
    return float(getattr(sizes, mode))


def _uniform(bound: float, numbers: dict[str, float]) -> FanLaw:
    return FanLaw(Uniform(-bound, bound), {**numbers, "bound": bound})


def _normal(std: float, numbers: dict[str, float]) -> FanLaw:
    return FanLaw(Normal(0, std), {**numbers, "std": std})


def _truncated_normal(std: float, numbers: dict[str, float]) -> FanLaw:
    """Cut at two standard deviations of the law before the cut; `std` is what remains after it."""
    if std == 0:
        return _normal(std, numbers)
    wide = std / UNIT_TRUNCATED_STD
    return FanLaw(TruncNormal(0, wide, -2 * wide, 2 * wide), {**numbers, "std": std})
