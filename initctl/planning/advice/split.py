"""Quantized weights of which rules fill one part and leave another."""

from __future__ import annotations

from typing import TYPE_CHECKING

from initctl.errors import Problem, listed, shown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from initctl.planning.deciding import Decided
    from initctl.rules import Rule


def split_weights(decided: Decided) -> Iterator[Problem]:
    """A warning for each rule that fills parts of quantized weights whose other parts stay as they are."""
    if not decided.quantized:
        return
    filled = {action.tensor.name: action.rule for action in decided.actions}
    warned: set[Rule] = set()
    for name, rule in filled.items():
        weight = decided.quantized.get(name)
        kept = [part for part in weight.parts if part not in filled] if weight else []
        if weight and kept and rule not in warned:
            warned.add(rule)
            module = name[: name.rfind(".") + 1]
            others = listed([shown(part.removeprefix(module)) for part in kept])
            message = f"{rule}: fills {shown(name)}, but not {others}"
            hint = f"its values follow from all of these parts ({weight.scheme}): dequantize the model first"
            yield Problem("rule.split_weight", message, hint)
