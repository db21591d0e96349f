"""From a checkpoint's table and bound rules to a plan, or to every fault at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from initctl.errors import FitError
from initctl.planning.advice.findings import findings
from initctl.planning.deciding import decide
from initctl.planning.devices import placed
from initctl.planning.optimizers import Resets, old_values_kept, resets, with_optimizers_beside
from initctl.planning.plan import TORCH, Plan
from initctl.planning.sharing import shared
from initctl.planning.surroundings import Surroundings
from initctl.planning.torch_init import all_by_torch

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from initctl.formats import Checkpoint
    from initctl.planning.action import Action
    from initctl.planning.advice.presets import FromPreset
    from initctl.planning.bound_rule import BoundRule
    from initctl.planning.options import Options


def make_plan(
    checkpoint: Checkpoint,
    rules: Sequence[BoundRule],
    options: Options,
    *,
    seed: int,
    config: Mapping[str, Any] | None = None,
    preset: FromPreset | None = None,
) -> Plan:
    """What `rules` do to `checkpoint` under `seed`.

    `config` is what `config.json` says, if there is one; `preset` are those of the rules that come from a preset.
    Raises `FitError` with every fault found.
    """
    around = Surroundings(checkpoint, config)
    decided = decide(rules, around)
    actions, faults = decided.actions, decided.faults
    checkpoint, reset = (checkpoint, Resets()) if faults else _optimizers(checkpoint, actions, options)
    faults = faults or shared(checkpoint, actions, decided.kept, reset.actions)
    found = findings(decided, around, preset, options)
    if faults := [*found.faults, *faults]:
        raise FitError(*faults)
    actions = placed(actions, options.device)
    if options.rng == TORCH:
        actions = all_by_torch(actions)
    warnings = (*checkpoint.warnings, *found.warnings, *reset.warnings)
    buffers = options.buffers if options.reset_optimizer else None
    return Plan(
        checkpoint,
        seed,
        tuple(actions),
        tuple(decided.kept),
        warnings,
        reset.actions,
        options.rng,
        buffers,
        tuple(rules),
        config,
    )


def _optimizers(checkpoint: Checkpoint, actions: Sequence[Action], options: Options) -> tuple[Checkpoint, Resets]:
    """What sets back what optimizers remember of tensors that are filled, or warnings that they remember it; and
    `checkpoint` with all files that this changes. Raises `FitError`.
    """
    if options.reset_optimizer:
        checkpoint = with_optimizers_beside(checkpoint)
        return checkpoint, resets(checkpoint, actions, options.buffers)
    return checkpoint, Resets((), old_values_kept(checkpoint) if actions else ())
