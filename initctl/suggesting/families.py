"""What the preset for a checkpoint's model does to each tensor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from initctl.errors import FitError, Problem, UsageError, shown
from initctl.grouping import grouped
from initctl.initializers import KEEP
from initctl.planning import BoundRule, bind
from initctl.planning.action import Action, Kept
from initctl.planning.deciding import decide
from initctl.planning.surroundings import Surroundings
from initctl.recipes.presets import find_preset, preset_for

if TYPE_CHECKING:
    from initctl.formats import Checkpoint
    from initctl.tensors import RowRange


class Decision(NamedTuple):
    """A call as a rule writes it, for a whole tensor, or for `rows` of it; and what its numbers are in the preset."""

    call: str
    formula: str
    rows: RowRange | None


class Family(NamedTuple):
    """What the preset for a model does to each tensor that it decides: first to all of it, then to rows of it."""

    preset: str | None
    source: str
    decisions: Mapping[str, Sequence[Decision]]


def family(checkpoint: Checkpoint, config: Mapping[str, Any] | None, name: str | None = None) -> Family:
    """That of the preset called `name`; or of the model which `config`, the content of config.json, names, and an empty
    one if no preset is for it. Raises `UsageError` if no preset is called `name`, and `FitError` if that fills nothing.
    """
    try:
        preset = preset_for(config) if name is None else find_preset(name)
    except UsageError:
        if name is not None:
            raise
        return Family(None, "", {})
    from initctl.recipes.reading import read_preset

    rules = {id(rule): bind(rule) for rule in read_preset(preset.name).rules}
    decided = decide(list(rules.values()), Surroundings(checkpoint, config))
    formulas = {number: _formula(bound) for number, bound in rules.items()}

    def decision(part: Action | Kept, rows: RowRange | None) -> Decision:
        return Decision(_call(part), formulas[id(part.rule)], rows)

    if name is not None and not decided.actions:
        message = f"preset {preset.name}: fills no tensor of {shown(checkpoint.path)}"
        raise FitError(Problem("preset.unused", message, "its names are another family's"))
    entries: list[Action | Kept] = [*decided.actions, *decided.kept]
    found: dict[str, list[Decision]] = {}
    for name, parts in grouped((entry.tensor.name, entry) for entry in entries).items():
        if all(part.rule for part in parts):
            first = max(parts, key=lambda part: part.part.numel)
            found[name] = [decision(first, None), *(decision(part, part.rows) for part in parts if part is not first)]
    return Family(preset.name, preset.source, found)


def _call(part: Action | Kept) -> str:
    """With numbers for the expressions of the preset."""
    if not isinstance(part, Action):
        return KEEP
    given = ",".join(f"{key}={part.arguments[key]}" for key, _ in part.rule.call.arguments)
    return f"{part.initializer}:{given}" if given else part.initializer


def _formula(bound: BoundRule) -> str:
    """The expressions that the preset has for numbers, and what the names in them are; empty if it has none."""
    expressions = bound.initializer.expressions if bound.initializer else {}
    said = [f"{key} = {expression.text}" for key, expression in expressions.items()]
    said += [f"{name} = {expression.text}" for name, expression in bound.variables.items()]
    return ", ".join(said) if expressions else ""
