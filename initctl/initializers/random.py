"""Initializers whose numbers the rule gives: uniform, normal, truncated normal."""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING

from initctl.errors import Problem, RuleError
from initctl.initializers.initializer import Arguments, Resolved, Unfit
from initctl.stream import Normal, TruncNormal, Uniform

if TYPE_CHECKING:
    from initctl.tensors import TensorSpec

DEFAULT_A, DEFAULT_B = -2, 2
"""torch's bounds of trunc_normal: absolute, not in standard deviations."""


def uniform(_: TensorSpec, *, a: float, b: float) -> Resolved:
    return Resolved(Uniform(a, b))


def normal(_: TensorSpec, *, mean: float, std: float) -> Resolved:
    return Resolved(Normal(mean, std))


def trunc_normal(
    _: TensorSpec,
    *,
    mean: float,
    std: float,
    a: float,
    b: float,
    cut: float | None,
) -> Resolved:
    low, high = (a, b) if cut is None else (mean - cut * std, mean + cut * std)
    bounds = {"a": low, "b": high}
    if std == 0 or low == high:
        point = min(max(mean, low), high)
        return Resolved(Uniform(point, point), bounds)
    law = TruncNormal(mean, std, low, high)
    if not (law.is_resolved and isfinite(low) and isfinite(high)):
        raise Unfit(f"the interval from a={low:g} to b={high:g} is too far, too narrow or too wide for std={std:g}")
    return Resolved(law, bounds)


def check_uniform(arguments: Arguments) -> None:
    """Refuse an empty interval."""
    check_order(arguments, 0, 1)


def check_trunc_normal(arguments: Arguments) -> None:
    """Refuse an empty interval, and bounds given in both ways."""
    if "cut" in arguments and ("a" in arguments or "b" in arguments):
        raise RuleError(Problem("rule.parameter", "trunc_normal takes either cut or a and b, not both"))
    check_order(arguments, DEFAULT_A, DEFAULT_B)


def check_order(arguments: Arguments, default_a: float, default_b: float) -> None:
    """Refuse `a` > `b`, given or by default."""
    a, b = float(arguments.get("a", default_a)), float(arguments.get("b", default_b))
    if a > b:
        raise RuleError(Problem("rule.value", f"a={a:g} is greater than b={b:g}"))
