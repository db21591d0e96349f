"""What is asked of a plan besides rules and seed."""

from __future__ import annotations

from dataclasses import dataclass

from initctl.errors import Problem, UsageError, shown
from initctl.planning.plan import PHILOX, TORCH
from initctl.stream.devices import CPU
from initctl.suggestions import did_you_mean


@dataclass(frozen=True, slots=True)
class Options:
    """How strict a plan is, what it does besides, and what computes it. Raises `UsageError` for an unknown `rng`,
    and for `buffers` that nothing asks about.

    `allow_unused` turns rules that decide nothing into warnings; `require_all` turns weights that no rule decides into
    errors; `allow_partial` lets a preset leave most of the weights; `reset_optimizer` adds what optimizers remember of
    filled tensors, and `buffers` are patterns for the names of tensors that optimizers were not given; `device` is as
    for `placed`; `rng` is where random numbers come from.
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
            fault = "buffers: they matter only if an optimizer is reset"
            raise UsageError(Problem("usage.buffers", fault, "give --reset-optimizer too, or leave --buffers out"))
        if self.rng not in (PHILOX, TORCH):
            fault = f"rng: {shown(self.rng)} is neither {PHILOX} nor {TORCH}"
            raise UsageError(Problem("usage.rng", fault, did_you_mean(str(self.rng), (PHILOX, TORCH))))
