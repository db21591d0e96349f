"""The law that is suggested for a tensor, and that of torch's own layers, as the numbers that they give."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from initctl.diagnosing.expected import LawNumbers, expected
from initctl.errors import RuleError
from initctl.initializers import KEEP, REGISTRY, Unfit
from initctl.planning import bind
from initctl.planning.deciding import decide
from initctl.recipes.reading import read_preset
from initctl.rules import parse_call
from initctl.tensors import TensorSpec

if TYPE_CHECKING:
    from collections.abc import Mapping

    from initctl.dtypes import DType
    from initctl.planning.surroundings import Surroundings
    from initctl.tensors import Shape

_TORCH = "torch-default"


@lru_cache(1024)
def given(initializer: str, dtype: DType, shape: Shape) -> LawNumbers | None:
    """What `initializer`, as a rule writes it, gives such a tensor; None if it keeps the values, or if that is not
    known.
    """
    if initializer == KEEP or dtype.kind != "float":
        return None
    try:
        return expected(REGISTRY.bind(parse_call(initializer)).resolve(TensorSpec("", dtype, shape, ())).law)
    except (RuleError, Unfit):
        return None


def torch_laws(around: Surroundings) -> Mapping[str, LawNumbers]:
    """What torch's own layers start from, by the names of their tensors."""
    rules = [bind(rule) for rule in read_preset(_TORCH).rules]
    found = ((action.tensor.name, expected(action.law)) for action in decide(rules, around).actions)
    return {name: numbers for name, numbers in found if numbers}
