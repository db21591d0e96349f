"""The decisions of the preset for a checkpoint's model."""

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
    """A call as in a rule, for a whole tensor or for `rows` of it, and the formula of its numbers in the preset."""

    call: str
    formula: str
    rows: RowRange | None


class Family(NamedTuple):
    """The decisions of a preset for each tensor: first for the whole tensor, then for rows of it."""

    preset: str | None
    source: str
    decisions: Mapping[str, Sequence[Decision]]


def family(checkpoint: Checkpoint, config: Mapping[str, Any] | None, name: str | None = None) -> Family:
    """The decisions of the preset `name`, by default of the preset for the model in `config`, the content of
    config.json; empty if there is none. Raises `UsageError` if `name` is unknown, and `FitError` if it fills nothing.
    """
    try:
        preset = preset_for(config, checkpoint.without_config) if name is None else find_preset(name)
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
        raise FitError(Problem("preset.unused", message, "its patterns are for another model family"))
    entries: list[Action | Kept] = [*decided.actions, *decided.kept]
    found: dict[str, list[Decision]] = {}
    for name, parts in grouped((entry.tensor.name, entry) for entry in entries).items():
        if all(part.rule for part in parts):
            first = max(parts, key=lambda part: part.part.numel)
            found[name] = [decision(first, None), *(decision(part, part.rows) for part in parts if part is not first)]
    return Family(preset.name, preset.source, found)


def _call(part: Action | Kept) -> str:
    """The call with numbers in place of the preset's expressions."""
    if not isinstance(part, Action):
        return KEEP
    given = ",".join(f"{key}={part.arguments[key]}" for key, _ in part.rule.call.arguments)
    return f"{part.initializer}:{given}" if given else part.initializer


def _formula(bound: BoundRule) -> str:
    """The preset's expressions for numbers, and the variables in them; empty if it has none."""
    expressions = bound.initializer.expressions if bound.initializer else {}
    said = [f"{key} = {expression.text}" for key, expression in expressions.items()]
    said += [f"{name} = {expression.text}" for name, expression in bound.variables.items()]
    return ", ".join(said) if expressions else ""
