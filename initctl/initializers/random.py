"""Initializers whose numbers the rule gives: uniform, normal, truncated normal, and two with a uniform logarithm."""

from __future__ import annotations

from math import erf, exp, isfinite, pi, sqrt
from typing import TYPE_CHECKING

from initctl.errors import Problem, RuleError
from initctl.initializers.initializer import Arguments, Resolved, Unfit
from initctl.stream import Normal, TruncNormal, Uniform
from initctl.stream.laws import InverseSoftplus, LogUniform, UniformLog, inner_bounds

if TYPE_CHECKING:
    from initctl.tensors import TensorSpec

DEFAULT_A, DEFAULT_B = -2, 2
"""torch's bounds of trunc_normal: absolute, not in standard deviations."""
DEFAULT_STEP_A, DEFAULT_STEP_B = 0.001, 0.1
"""Mamba's time steps."""
_SMALLEST = 2.0**-126
"""The smallest normal float32 number."""
_SERIES = 16
"""Terms of an alternating series in cut² / 2 ≤ 1/2 that falls faster than 1 / n!."""


def uniform(_: TensorSpec, *, a: float, b: float) -> Resolved:
    return Resolved(Uniform(a, b))


def normal(_: TensorSpec, *, mean: float, std: float) -> Resolved:
    return Resolved(Normal(mean, std))


def trunc_normal(
    _: TensorSpec, *, mean: float, std: float, a: float, b: float, cut: float | None, var_correct: str
) -> Resolved:
    """N(mean, std²) given a ≤ x ≤ b, or |x - mean| ≤ cut · std: torch.nn.init.trunc_normal_.

    Raises `Unfit` if float32 cannot follow the law.
    """
    if cut is not None and var_correct == "true":
        std /= unit_truncated_std(cut)
    low, high = (a, b) if cut is None else (mean - cut * float(std), mean + cut * float(std))
    bounds = {"a": low, "b": high}
    if std == 0 or low == high:
        point = min(max(mean, low), high)
        return Resolved(Uniform(point, point), bounds)
    law = TruncNormal(mean, std, low, high)
    if not (law.is_resolved and isfinite(low) and isfinite(high)):
        raise Unfit(f"a={low:g} to b={high:g} is too far away, too narrow or too wide for std={std:g}")
    return Resolved(law, bounds)


def log_uniform(_: TensorSpec, *, a: float, b: float) -> Resolved:
    """exp(U(ln a, ln b)), 2^-126 ≤ a ≤ b."""
    _check_size(a)
    if a == b:
        return Resolved(Uniform(a, a))
    low, high = inner_bounds(a, b)
    if low > high:
        raise Unfit(f"there is no float32 number from a={a!r} to b={b!r}")
    return Resolved(LogUniform(float(a), float(b)))


def inv_softplus_log_uniform(_: TensorSpec, *, a: float, b: float, floor: float) -> Resolved:
    """Mamba's dt_proj.bias: mamba_ssm/modules/mamba_simple.py, and transformers' models/mamba/modeling_mamba.py."""
    _check_size(a)
    return Resolved(InverseSoftplus(float(a), float(b), float(floor)))


def uniform_log(_: TensorSpec, *, a: float, b: float) -> Resolved:
    """ln(U(a, b)), 2^-126 ≤ a ≤ b."""
    _check_size(a)
    return Resolved(UniformLog(float(a), float(b)))


def unit_truncated_std(cut: float) -> float:
    """The standard deviation of a standard normal variable cut at ±`cut` > 0; jax divides by it with cut = 2.

    The variance is 1 - 2 · cut · φ(cut) / (2 Φ(cut) - 1). For cut < 1 this would be a difference of nearly equal
    numbers, so the second moment is divided by the probability instead, both as series in cut².
    """
    half_square = float(cut) * cut / 2
    if cut > 1:
        return sqrt(1 - cut * sqrt(2 / pi) * exp(-half_square) / erf(cut / sqrt(2)))
    term, moment, probability = 1.0, 0.0, 0.0
    for n in range(_SERIES):
        moment += term / (2 * n + 3)
        probability += term / (2 * n + 1)
        term *= -half_square / (n + 1)
    return cut * sqrt(moment / probability)


def check_trunc_normal(arguments: Arguments) -> None:
    """Refuse an empty interval, and bounds given in two ways."""
    if "cut" in arguments and ("a" in arguments or "b" in arguments):
        raise RuleError(Problem("rule.parameter", "trunc_normal accepts cut, or a and b, but not both"))
    if "var_correct" in arguments and "cut" not in arguments:
        raise RuleError(Problem("rule.parameter", "var_correct has no effect without cut", "add cut=2"))
    if arguments.get("var_correct") == "true" and arguments["cut"] == 0:
        raise RuleError(Problem("rule.parameter", "cut=0 leaves no variance for var_correct to correct"))
    check_order(arguments, DEFAULT_A, DEFAULT_B)


def check_order(arguments: Arguments, default_a: float, default_b: float) -> None:
    """Refuse `a` > `b`, given or by default."""
    a, b = float(arguments.get("a", default_a)), float(arguments.get("b", default_b))
    if a > b:
        raise RuleError(Problem("rule.value", f"a={a:g} is greater than b={b:g}"))


def _check_size(a: float) -> None:
    if a < _SMALLEST:
        raise Unfit(f"a={a:g} is below {_SMALLEST:.3g}, the smallest float32 number with full precision")
