"""The numbers that a law gives: their mean, standard deviation and bounds."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from itertools import pairwise
from math import erf, exp, inf, pi, sqrt
from typing import TYPE_CHECKING, NamedTuple

from initctl.errors import RuleError
from initctl.initializers import KEEP, REGISTRY, Unfit
from initctl.planning import bind
from initctl.planning.deciding import decide
from initctl.recipes.reading import read_preset
from initctl.rules import parse_call
from initctl.stream import AnyLaw, Constant, Fused, Normal, TruncNormal, Uniform
from initctl.tensors import Shape, TensorSpec

if TYPE_CHECKING:
    from initctl.dtypes import DType
    from initctl.planning.surroundings import Surroundings

_TORCH = "torch-default"
_CUTS_NOTHING = 1e-6
"""If the bounds cut off less than this share of a normal law, the cut cannot be measured."""


class LawNumbers(NamedTuple):
    """The `mean` and `std` of numbers from `low` to `high`. If `is_cut`, the bounds cut off a wider law."""

    mean: float
    std: float
    low: float = -inf
    high: float = inf
    is_cut: bool = False

    @property
    def constant(self) -> float | None:
        """The number that all are equal to; None if they differ."""
        return self.mean if self.low == self.high else None


@lru_cache(1024)
def given(initializer: str, dtype: DType, shape: Shape) -> LawNumbers | None:
    """The numbers that `initializer`, as written in a rule, gives; None if it keeps the values, or if they are not
    known.
    """
    if initializer == KEEP or dtype.kind != "float":
        return None
    try:
        return expected(REGISTRY.bind(parse_call(initializer)).resolve(TensorSpec("", dtype, shape, ())).law)
    except (RuleError, Unfit):
        return None


def torch_laws(around: Surroundings) -> Mapping[str, LawNumbers]:
    """The numbers that torch's own layers start from, by tensor name."""
    rules = [bind(rule) for rule in read_preset(_TORCH).rules]
    found = ((action.tensor.name, expected(action.law)) for action in decide(rules, around).actions)
    return {name: numbers for name, numbers in found if numbers}


def expected(law: AnyLaw) -> LawNumbers | None:
    """The numbers that `law` gives; None if mean and spread do not describe them, or are not known here."""
    match law:
        case Constant(value):
            return LawNumbers(value, 0, value, value)
        case Uniform(a, b):
            return LawNumbers((a + b) / 2, (b - a) / sqrt(12), a, b)
        case Normal(mean, std):
            return LawNumbers(mean, std)
        case TruncNormal():
            return _truncated(law)
        case Fused(laws, ends):
            return _mixed(laws, [stop - start for start, stop in pairwise((0, *ends))])
    return None


def _truncated(law: TruncNormal) -> LawNumbers:
    """Johnson, Kotz, Balakrishnan: Continuous univariate distributions 1, chapter 13.10.1."""
    low, high = (law.a - law.mean) / law.std, (law.b - law.mean) / law.std
    inside = (erf(high / sqrt(2)) - erf(low / sqrt(2))) / 2
    if law.outside < _CUTS_NOTHING or inside < _CUTS_NOTHING:
        return LawNumbers(law.mean, law.std)
    density_low, density_high = (exp(-z * z / 2) / sqrt(2 * pi) for z in (low, high))
    shift = (density_low - density_high) / inside
    variance = 1 + (low * density_low - high * density_high) / inside - shift * shift
    return LawNumbers(law.mean + law.std * shift, law.std * sqrt(max(variance, 0)), law.a, law.b, is_cut=True)


def _mixed(laws: tuple[AnyLaw, ...], sizes: list[int]) -> LawNumbers | None:
    """The numbers of several laws side by side. `sizes` are how many numbers each law gives."""
    parts = [part for law in laws if (part := expected(law))]
    if len(parts) < len(laws):
        return None
    shares = [size / sum(sizes) for size in sizes]
    mean = sum(share * part.mean for share, part in zip(shares, parts, strict=True))
    square = sum(share * (part.std**2 + part.mean**2) for share, part in zip(shares, parts, strict=True))
    low, high = min(part.low for part in parts), max(part.high for part in parts)
    return LawNumbers(mean, sqrt(max(square - mean * mean, 0)), low, high)
