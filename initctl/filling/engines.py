"""The engines that a plan's actions need, one for each device."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING

from initctl.events import Chosen, Compiling
from initctl.filling.targets import needs_preparing
from initctl.stream import SAME_EVERYWHERE, Normal, TruncNormal, Uniform, WholeLaw
from initctl.stream.devices import CPU
from initctl.stream.engines import Engine, Work, choose

if TYPE_CHECKING:
    from initctl.planning import Action

_RANDOM = (Uniform, Normal, TruncNormal)


def choose_engines(
    actions: Iterable[Action], *, threads: int, on_event: Callable[[Compiling | Chosen], None] | None = None
) -> dict[str, Engine]:
    """An engine for each device that an action is planned for. Raises `StorageError` if a device is missing."""
    by_device: dict[str, list[Action]] = defaultdict(list)
    for action in actions:
        by_device[action.device].append(action)
    engines: dict[str, Engine] = {}
    for device, group in by_device.items():
        on_compiling = partial(on_event, Compiling()) if on_event else None
        choice = choose(_work(group, device), threads=threads, device=device, on_compiling=on_compiling)
        engines[device] = choice.engine
        if on_event:
            on_event(Chosen(device, choice.engine.name, choice.reason))
    return engines


def _work(actions: Iterable[Action], device: str) -> Work:
    """The work of the CPU. Other devices compute random laws themselves."""
    free = SAME_EVERYWHERE if device == CPU else (*SAME_EVERYWHERE, *_RANDOM)
    computed = [action for action in actions if type(action.law) not in free]
    laws = [action.law for action in computed if needs_preparing(type(action.law))]
    return Work(
        numbers=sum(action.part.numbers for action in computed),
        tensors=len(computed),
        flops=sum(law.flops for law in laws if isinstance(law, WholeLaw)),
    )
