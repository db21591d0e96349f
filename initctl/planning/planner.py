"""From a checkpoint's table and bound rules to a plan, or to an error with all faults of the rules."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from initctl.errors import FitError, Problem, UsageError, shown
from initctl.planning.advice.averages import copies_out_of_step
from initctl.planning.advice.fields import added_fields, fields_out_of_step
from initctl.planning.advice.left_alone import left_alone, undecided_weights
from initctl.planning.advice.left_behind import rows_left_behind
from initctl.planning.advice.reversed_fans import reversed_fans
from initctl.planning.advice.surprises import idle_truncations, masks_as_biases, random_averages, split_weights
from initctl.planning.advice.unfit_presets import FromPreset, Left, idle_preset, partial_preset
from initctl.planning.advice.unused import hollow_rules, idle_alternatives, idle_rows, unused_rules
from initctl.planning.blank_rows import blank_rows
from initctl.planning.chosen_device import with_devices
from initctl.planning.deciding import Decided, decide
from initctl.planning.optimizers import Resets, old_values_kept, resets, with_optimizers_beside
from initctl.planning.plan import PHILOX, TORCH, Plan
from initctl.planning.sharing import shared
from initctl.planning.surroundings import Surroundings
from initctl.planning.torch_init import all_by_torch, check_drawn_once
from initctl.stream.devices import CPU
from initctl.suggestions import did_you_mean

if TYPE_CHECKING:
    from initctl.formats import Checkpoint
    from initctl.planning.bound_rule import BoundRule

    Findings = tuple[list[Problem], list[Problem]]
    """Problems that refuse the plan, and problems that only warn."""

WARNINGS: tuple[Callable[[Decided, Surroundings], Iterable[Problem]], ...] = (
    idle_alternatives,
    idle_rows,
    left_alone,
    masks_as_biases,
    idle_truncations,
    random_averages,
    copies_out_of_step,
    split_weights,
    reversed_fans,
    added_fields,
    fields_out_of_step,
    rows_left_behind,
)
"""Checks for probable mistakes that only warn."""


@dataclass(frozen=True, slots=True)
class Options:
    """How strict a plan is, whether it resets optimizers, and what computes it. Raises `UsageError` for an unknown
    `rng`, and for `buffers` without `reset_optimizer`.

    `allow_unused` turns rules that decide nothing into warnings; `require_all` turns weights that no rule decides into
    errors; `allow_partial` lets a preset leave most of the weights; `reset_optimizer` resets the optimizer state of
    filled tensors, and `buffers` are patterns for the names of tensors that no optimizer has state of; `device` is as
    for `with_devices`; `rng` is the random number generator.
    """

    allow_unused: bool = False
    require_all: bool = False
    allow_partial: bool = False
    reset_optimizer: bool = False
    buffers: tuple[str, ...] = ()
    device: str = CPU
    rng: str = PHILOX

    def __post_init__(self) -> None:
        if self.buffers and not self.reset_optimizer:
            fault = "buffers: has no effect unless an optimizer is reset"
            raise UsageError(Problem("usage.buffers", fault, "add --reset-optimizer, or leave --buffers out"))
        if self.rng not in (PHILOX, TORCH):
            hint = did_you_mean(str(self.rng), (PHILOX, TORCH)) or f"use {PHILOX} or {TORCH}"
            raise UsageError(Problem("usage.rng", f"unknown rng {shown(self.rng)}", hint))


def make_plan(
    checkpoint: Checkpoint,
    rules: Sequence[BoundRule],
    options: Options,
    *,
    seed: int,
    config: Mapping[str, Any] | None = None,
    base: Mapping[str, Any] | None = None,
    preset: FromPreset | None = None,
) -> Plan:
    """What `rules` do to `checkpoint` under `seed`.

    `config` is the parsed config.json, if there is one, and `base` that of a base model; `preset` are the rules that
    come from a preset. Raises `FitError` with every fault of the rules, or if an optimizer cannot be reset, or if torch
    cannot do an action.
    """
    around = Surroundings(checkpoint, config, base)
    decided = decide(rules, around)
    actions, faults = decided.actions, decided.faults
    reset = Resets()
    if options.reset_optimizer and not faults:
        checkpoint = with_optimizers_beside(checkpoint)
        reset = resets(checkpoint, actions, options.buffers)
    elif (actions or checkpoint.resized) and not faults:
        reset = Resets((), old_values_kept(checkpoint))
    faults = faults or shared(checkpoint, actions, decided.kept, reset.actions)
    refused, warned = _findings(decided, around, preset, options)
    if faults := [*refused, *faults]:
        raise FitError(*faults)
    actions = with_devices(actions, options.device)
    if options.rng == TORCH:
        actions = all_by_torch(actions)
        check_drawn_once(reset.actions)
    return Plan(
        checkpoint,
        seed,
        tuple(actions),
        tuple(decided.kept),
        (*checkpoint.warnings, *warned, *reset.warnings),
        reset.actions,
        options.rng,
        options.buffers if options.reset_optimizer else None,
        tuple(rules),
        config,
        base,
    )


def _findings(decided: Decided, around: Surroundings, preset: FromPreset | None, options: Options) -> Findings:
    """What is probably a mistake: refused or warned of, as `options` say."""
    unused = [*unused_rules(decided, around), *hollow_rules(decided, around)]
    undecided = undecided_weights(decided, around) if options.require_all else ()
    table = around.checkpoint
    blank = blank_rows(decided.kept, {*table.values, *decided.faulty}) if table.incomplete else ()
    refused, warned = _preset_findings(decided, around, preset, options) if preset else ([], [])
    warnings = [*warned, *unused, *(problem for advice in WARNINGS for problem in advice(decided, around))]
    return [*(() if options.allow_unused else unused), *undecided, *blank, *refused], warnings


def _preset_findings(decided: Decided, around: Surroundings, preset: FromPreset, options: Options) -> Findings:
    if idle := idle_preset(preset, decided, around):
        return ([], [idle]) if options.allow_unused else ([idle], [])
    left = Left(decided, around)
    if options.require_all or not left.parts:
        return [], []
    refused = left.is_most and not options.allow_partial
    found = [partial_preset(preset, left, refused=refused)]
    return (found, []) if refused else ([], found)
