"""The law that is suggested for a tensor, and that of torch's own layers, as the numbers that they give."""

from __future__ import annotations

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

    from initctl.planning.surroundings import Surroundings
    from initctl.suggesting import Suggestion

_TORCH = "torch-default"


class Laws:
    """What suggestions give; tensors that are alike are looked at once."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, str, tuple[int, ...]], LawNumbers | None] = {}

    def of(self, suggestion: Suggestion) -> LawNumbers | None:
        """What the suggested initializer gives; None if it keeps what is there, or if that is not known."""
        tensor = suggestion.tensor
        key = suggestion.initializer, tensor.dtype.name, tensor.shape
        if key not in self._found:
            self._found[key] = _given(suggestion)
        return self._found[key]


def _given(suggestion: Suggestion) -> LawNumbers | None:
    tensor = suggestion.tensor
    if suggestion.initializer == KEEP or tensor.dtype.kind != "float":
        return None
    try:
        call = REGISTRY.bind(parse_call(suggestion.initializer))
        return expected(call.resolve(TensorSpec("", tensor.dtype, tensor.shape, ())).law)
    except (RuleError, Unfit):
        return None


def torch_laws(around: Surroundings) -> Mapping[str, LawNumbers]:
    """What torch's own layers start from, by the names of their tensors."""
    rules = [bind(rule) for rule in read_preset(_TORCH).rules]
    found = ((action.tensor.name, expected(action.law)) for action in decide(rules, around).actions)
    return {name: numbers for name, numbers in found if numbers}
