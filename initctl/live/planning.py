"""The plan for a model in memory: from its own table, or from that of the model that it is a part of."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from initctl.errors import Problem, UsageError
from initctl.live.choosing import chosen_names, restricted
from initctl.live.whole import part_of_plan, whole_model
from initctl.planning.plan import TORCH

if TYPE_CHECKING:
    import os

    from initctl.formats import Checkpoint
    from initctl.live.table import LiveTable
    from initctl.planning import Action, Plan


def planned(
    plan_for: Callable[[Checkpoint], Plan],
    table: LiveTable,
    *,
    only: Iterable[str] = (),
    missing: Any = None,  # noqa: ANN401 - see `chosen_names`
    of: Checkpoint | str | os.PathLike[str] | None = None,
    on_device: bool = True,
) -> Plan:
    """What rules do to the model of `table`; `plan_for` gives their plan for any table.

    `only`, `missing` and `of` are as for `initctl.init_`. If `on_device`, the device of a tensor computes its values.
    Raises as `plan_for` and `chosen_names` do.
    """
    names = chosen_names(table, only, missing)
    made = plan_for(table.checkpoint) if of is None else part_of_plan(plan_for(whole_model(of, table)), table)
    if made.rng == TORCH and (names is not None or of is not None):
        fault = "rng=torch draws the values of all tensors in order, so it cannot fill a part of them"
        raise UsageError(Problem("rng.torch", fault, "leave out only, missing and of"))
    if names is not None:
        made = restricted(made, names)
    return on_own_devices(made, table) if on_device and made.rng != TORCH else made


def on_own_devices(plan: Plan, table: LiveTable) -> Plan:
    """`plan`, with the values of each tensor computed on the device that holds it."""
    return replace(plan, actions=tuple(_on_device(action, table) for action in plan.actions))


def _on_device(action: Action, table: LiveTable) -> Action:
    """`action`, computed on the device of its tensor."""
    places = (table.storages.get(block.file) for block in action.tensor.blocks)
    device = next((storage.device for storage in places if storage is not None), None)
    return action if device is None else action._replace(device=str(device))
