"""Activations, and the law that the layers around each need: one table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import sqrt
from typing import Any, NamedTuple

from initctl.errors import Problem, UsageError, shown
from initctl.initializers.scaling import GELU_GAIN, SILU_GAIN, calculate_gain
from initctl.suggestions import did_you_mean

HE = "He et al. 2015"
GLOROT = "Glorot and Bengio 2010"
_GLOROT = f"{GLOROT}, eq. 12"
_SLOPE = 0.01
"""The slope of `torch.nn.LeakyReLU` below zero."""


class Advice(NamedTuple):
    """A law as in a rule, the reason as a sentence, and the source."""

    initializer: str
    reason: str
    source: str


class Activation(NamedTuple):
    """The law for the layers around an activation. `std` returns its standard deviation for (fan_in, fan_out), and
    `called` are the activation's names in other programs.
    """

    advice: Advice
    std: Callable[[float, float], float]
    called: str = ""


def _he(
    nonlinearity: str, reason: str, source: str, arguments: str = "", slope: float = 0, called: str = ""
) -> Activation:
    gain = calculate_gain(nonlinearity, slope)
    call = f"kaiming_normal:{arguments}nonlinearity={nonlinearity}"
    return Activation(Advice(call, reason, source), lambda fan_in, _: gain / sqrt(fan_in), called)


def _xavier(nonlinearity: str, reason: str) -> Activation:
    gain = calculate_gain(nonlinearity, 0)
    call = "xavier_normal" if gain == 1 else f"xavier_normal:gain={gain!r}"
    law = Advice(call, reason, f"{_GLOROT}; torch.nn.init.calculate_gain")
    return Activation(law, lambda fan_in, fan_out: gain * sqrt(2 / (fan_in + fan_out)))


ACTIVATIONS: Mapping[str, Activation] = {
    "relu": _he(
        "relu",
        "ReLU halves the mean square of its inputs, and variance 2 / fan_in compensates for that.",
        f"{HE}, eq. 10",
        called="relu6",
    ),
    "leaky_relu": _he(
        "leaky_relu",
        f"Leaky ReLU with slope {_SLOPE} nearly halves the mean square of its inputs, and variance "
        "2 / ((1 + slope²) · fan_in) compensates for that.",
        f"{HE}, eq. 15",
        f"a={_SLOPE},",
        _SLOPE,
    ),
    "tanh": _xavier(
        "tanh",
        "Tanh saturates on both sides, so values should keep their size forward and gradients backward; gain 5/3 "
        "compensates for the shrinking by tanh.",
    ),
    "sigmoid": _xavier(
        "sigmoid",
        "Sigmoid saturates on both sides, so values should keep their size forward and gradients backward.",
    ),
    "gelu": _he(
        "gelu",
        f"GELU keeps less than half of the mean square of inputs with variance 1, and gain {GELU_GAIN:.4g}, which is "
        "1 / sqrt(E[gelu(z)²]), compensates for that; torch has no gain for GELU.",
        f"{HE}, eq. 10, with the mean square of GELU instead of ReLU",
        called="gelu_new gelu_fast gelu_python gelu_pytorch_tanh gelu_10 quick_gelu gelu_accurate",
    ),
    "silu": _he(
        "silu",
        f"SiLU keeps about a third of the mean square of inputs with variance 1, and gain {SILU_GAIN:.4g}, which is "
        "1 / sqrt(E[silu(z)²]), compensates for that; torch has no gain for SiLU.",
        f"{HE}, eq. 10, with the mean square of SiLU instead of ReLU",
        called="swish",
    ),
    "selu": Activation(
        Advice(
            "lecun_normal",
            "SELU keeps mean 0 and variance 1 by itself if weights have variance 1 / fan_in.",
            "Klambauer et al. 2017, Self-Normalizing Neural Networks",
        ),
        lambda fan_in, _: 1 / sqrt(fan_in),
    ),
}
ASSUMED = "relu"
"""The most frequent activation between plain layers."""
_KEYS = ("hidden_act", "hidden_activation", "activation_function", "activation")
"""The keys of config.json for the activation."""


class ActivationChoice(NamedTuple):
    """An activation; its origin, as a clause that follows the name; and whether the user named it."""

    name: str
    origin: str
    is_asked: bool = False


def known_activation(word: object) -> str | None:
    """The name in `ACTIVATIONS` for `word`, which may be its name in another program."""
    return next((name for name, known in ACTIVATIONS.items() if word in (name, *known.called.split())), None)


def choose_activation(name: str | None, config: Mapping[str, Any] | None) -> ActivationChoice:
    """The activation `name`, or else the one in config.json, or else the assumed one.

    Raises `UsageError` that proposes the nearest name if `name` is unknown.
    """
    if name is not None:
        if name not in ACTIVATIONS:
            hint = did_you_mean(str(name), ACTIVATIONS) or f"use {', '.join(ACTIVATIONS)}"
            raise UsageError(Problem("usage.activation", f"unknown activation {shown(name)}", hint))
        return ActivationChoice(name, ", as requested", is_asked=True)
    for said in (config[key] for key in _KEYS if config and key in config):
        if known := known_activation(said):
            return ActivationChoice(known, ", from config.json")
    return ActivationChoice(ASSUMED, " (assumed; change it with --activation)")
