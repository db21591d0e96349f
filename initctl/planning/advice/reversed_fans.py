"""Fans that a rule counts the wrong way round, since a weight has its inputs before its outputs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from initctl.errors import Problem, shown
from initctl.formats.overview import layouts
from initctl.grouping import grouped
from initctl.initializers import Unfit
from initctl.initializers.fans import arrangement_of, weights
from initctl.tensors import Fans, TensorSpec, is_kernel

if TYPE_CHECKING:
    from initctl.planning.action import Action
    from initctl.planning.deciding import Decided
    from initctl.planning.surroundings import Surroundings


def reversed_fans(decided: Decided, around: Surroundings) -> Iterator[Problem]:
    """A warning for each rule that counts inputs as outputs, and each layout that would be right.

    Presets are left out: they know their layouts. So are transposed convolutions: torch counts them so too.
    """
    filled = [a for a in decided.actions if _fans_of(a) and not a.rule.origin.preset and "layout" not in a.arguments]
    found = layouts([action.tensor for action in filled], around.checkpoint.tensors) if filled else {}
    known = ((action, found[action.tensor.name]) for action in filled if action.tensor.name in found)
    wrong = (((a.rule, letters), a) for a, letters in known if letters.endswith("io") and _is_wrong(a, letters))
    for (rule, letters), actions in grouped(wrong).items():
        names = {action.tensor.name for action in actions}
        others = [a.tensor for a in filled if a.rule is rule and a.tensor.name not in names]
        fits_all = not others or (letters == "io" and all(map(_is_square, others)))
        hint = f"add layout={letters}" if fits_all else f"add a later rule for such weights, with layout={letters}"
        yield rule.problem("rule.layout", _fault([action.tensor for action in actions], letters), hint)


def _fault(tensors: Sequence[TensorSpec], letters: str) -> str:
    first, more = tensors[0], f" (and {len(tensors) - 1:,} more)" if len(tensors) > 1 else ""
    dims = ", ".join({"i": "in", "o": "out"}.get(letter, "kernel") for letter in letters)
    why = "name" if is_kernel(first) else "bias"
    return f"counts the inputs of {shown(first.name)}{more} as outputs: it is stored as [{dims}], as its {why} shows"


def _is_square(tensor: TensorSpec) -> bool:
    return len(tensor.shape) == 2 and tensor.shape[0] == tensor.shape[1]


def _fans_of(action: Action) -> dict[str, float]:
    """The fans that decide the action's numbers, by their names."""
    return {name: action.derived[name] for name in Fans._fields if name in action.derived}


def _is_wrong(action: Action, letters: str) -> bool:
    """Whether fans would differ with the layout `letters`. If both decide, as in Xavier's law, their order does not."""
    arrangement = arrangement_of(action.arguments)
    arrangement["layout"] = letters
    try:
        right = weights(action.tensor.shape, **arrangement)[0].fans
    except Unfit:
        return False
    used = _fans_of(action)
    return sorted(used.values()) != sorted(getattr(right, name) for name in used)
