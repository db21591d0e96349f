"""What the preset for a checkpoint's model does to each tensor."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from initctl.errors import UsageError
from initctl.formats import read_config
from initctl.grouping import grouped
from initctl.initializers import KEEP
from initctl.planning import bind
from initctl.planning.action import Action
from initctl.planning.deciding import decide
from initctl.planning.surroundings import Surroundings
from initctl.recipes.presets import preset_for

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from initctl.formats import Checkpoint
    from initctl.planning.action import Kept
    from initctl.tensors import RowRange


class Decision(NamedTuple):
    """A call as a rule writes it, for a whole tensor, or for `rows` of it."""

    call: str
    rows: RowRange | None


class Family(NamedTuple):
    """What the preset for a model does to each tensor that it decides: first to all of it, then to rows of it."""

    preset: str | None
    source: str
    decisions: Mapping[str, Sequence[Decision]]


def family(checkpoint: Checkpoint) -> Family:
    """That of the model which `config.json` names; an empty one if no preset is for it.

    Raises `InputError` if config.json cannot be read.
    """
    config = read_config(checkpoint.home)
    try:
        preset = preset_for(config)
    except UsageError:
        return Family(None, "", {})
    from initctl.recipes.reading import read_preset

    rules = [bind(rule) for rule in read_preset(preset.name).rules]
    decided = decide(rules, Surroundings(checkpoint, config))
    entries: list[Action | Kept] = [*decided.actions, *decided.kept]
    by_tensor = grouped((entry.tensor.name, entry) for entry in entries)
    found = {name: tuple(_decisions(parts)) for name, parts in by_tensor.items() if all(part.rule for part in parts)}
    return Family(preset.name, preset.source, found)


def _decisions(parts: Sequence[Action | Kept]) -> Iterator[Decision]:
    """The largest part stands for the whole tensor, since the others follow it."""
    first = max(parts, key=lambda part: part.part.numel)
    yield Decision(_call(first), None)
    yield from (Decision(_call(part), part.rows) for part in parts if part is not first)


def _call(part: Action | Kept) -> str:
    """With numbers for the expressions of the preset."""
    if not isinstance(part, Action):
        return KEEP
    given = ",".join(f"{key}={part.arguments[key]}" for key, _ in part.rule.call.arguments)
    return f"{part.initializer}:{given}" if given else part.initializer
