"""Copies of parameters that a resumed training loads instead of the parameters themselves."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import TYPE_CHECKING, NamedTuple

from initctl.formats.optimizers.kinds import MASTERS

if TYPE_CHECKING:
    from initctl.formats.optimizers.optimizer import Optimizer

KEYS = {
    "single_partition_of_fp32_groups": "DeepSpeed ZeRO-1 and ZeRO-2",
    "fp32_flat_groups": "DeepSpeed ZeRO-3",
    "fp32_groups_flat": "DeepSpeed FP16_Optimizer",
    "fp32_groups": "DeepSpeed FP16_UnfusedOptimizer",
    "fp32_from_fp16_params": "Megatron-LM",
    "fp32_from_fp16": "Apex FP16_Optimizer",
    "master_params": "Apex",
    "master_weights": "Apex",
    "shadow_params": "diffusers EMAModel, torch_ema",
}
"""Keys with such copies below them, and the programs that write them. Copies that an optimizer keeps for each parameter
are among its kinds instead.
"""


class Copies(NamedTuple):
    """Copies of parameters at `place`, with the full names `tensors`.

    They are `of_states` if an optimizer keeps them with its other states, parameter by parameter.
    """

    place: str
    writer: str
    tensors: tuple[str, ...]
    of_states: bool = False


def masters(names: Iterable[str], optimizers: Iterable[Optimizer]) -> tuple[Copies, ...]:
    """The copies among tensors with `names`, and among the states of `optimizers`."""
    found: dict[tuple[str, str], list[str]] = defaultdict(list)
    for name in names:
        parts = name.split(".")
        if not KEYS.keys().isdisjoint(parts):
            at = next(number for number, part in enumerate(parts) if part in KEYS)
            found[".".join(parts[: at + 1]), KEYS[parts[at]]].append(name)
    below = (Copies(place, writer, tuple(tensors)) for (place, writer), tensors in found.items())
    return (*below, *(copies for optimizer in optimizers for copies in _of_states(optimizer)))


def _of_states(optimizer: Optimizer) -> Iterator[Copies]:
    for kind in optimizer.kinds:
        if kind in MASTERS:
            tensors = tuple(kept[kind].name for kept in optimizer.state.values() if kind in kept)
            yield Copies(f"{optimizer.label}: {kind}", MASTERS[kind], tensors, of_states=True)


def of_optimizers(optimizers: Iterable[Optimizer], copies: Iterable[Copies]) -> frozenset[str]:
    """The full names of all tensors that belong to an optimizer, or are copies of parameters."""
    states = (name for optimizer in optimizers for name in optimizer.tensors)
    return frozenset(chain(states, (name for found in copies for name in found.tensors)))
