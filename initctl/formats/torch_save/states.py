"""What a saved object says of optimizers beside their tensors: groups of parameters, and numbers."""

from __future__ import annotations

from math import inf, nan
from typing import TYPE_CHECKING, Any

from initctl.formats.optimizers import Group, OptimizerFacts
from initctl.formats.torch_save.malformed import Malformed
from initctl.formats.torch_save.tensors import is_tensor
from initctl.formats.torch_save.values import Made, Placed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from initctl.formats.torch_save.held import Held
    from initctl.formats.torch_save.parts import Parts
    from initctl.tensors import TensorSpec


def optimizers_in(held: Held, scalar: Callable[[str, Any], TensorSpec | None]) -> dict[str, OptimizerFacts]:
    """What is said of each optimizer beside its tensors, by the dotted keys that lead to it.

    `scalar` tells of what is kept beside tensors, by its dotted keys, which tensor it amounts to.
    """
    found: dict[str, OptimizerFacts] = {}
    for container, groups, state in _states(held):
        keys = held.way_to(container, _DEEPEST)
        if keys is None or not all(map(is_plain, keys)):
            continue
        name = ".".join(map(str, keys))
        held.parts.spend(_STEPS + len(name))
        is_alone = held.is_alone(container) and not state.is_shared
        numbers = {
            parameter: {
                kind: scalar(_named(name, parameter, kind, held.parts), number) if is_alone else None
                for kind, number in kept.items()
            }
            for parameter, kept in _numbers(state, held.parts).items()
        }
        found[name] = OptimizerFacts(_groups(groups, held.parts), numbers)
    return found


def _named(optimizer: str, parameter: int | str, kind: str, parts: Parts) -> str:
    name = f"{optimizer}.state.{parameter}.{kind}" if optimizer else f"state.{parameter}.{kind}"
    parts.spend(len(name))
    return name


def _states(held: Held) -> Iterator[tuple[int, list[Any], Made]]:
    """The containers that are the states of optimizers, with their groups and what they keep for each parameter."""
    for container, below in held.below.items():
        named = {key: part for key, part in below if isinstance(key, str) and key in ("param_groups", "state")}
        groups, state = named.get("param_groups"), named.get("state")
        if isinstance(groups, list) and isinstance(state, Made):
            yield container, groups, state


def _groups(param_groups: list[Any], parts: Parts) -> tuple[Group, ...]:
    """The groups, or none where one is not as torch writes it: then nothing can be told of their order."""
    groups: list[Group] = []
    known: set[int | str] = set()
    count = 0
    for group in param_groups:
        fields = parts.texts_of(group)
        parameters, names = fields.get("params"), fields.get("param_names")
        if not isinstance(parameters, list):
            return ()
        names = names if isinstance(names, list) else []
        parts.spend(len(parameters) + len(names) + _STEPS * len(fields))
        if not all(map(is_plain, parameters)):
            return ()
        known.update(parameters)
        count += len(parameters)
        if len(known) < count:
            raise Malformed("an optimizer has a parameter twice")
        told = tuple(name for name in names if isinstance(name, str))
        options = {key: _as_float(held) for key, held in fields.items()}
        groups.append(Group(tuple(parameters), told if len(told) == len(parameters) else None, options))
    return tuple(groups)


def _as_float(held: object) -> float:
    """A number, or NaN for what is none."""
    try:
        return float(held) if isinstance(held, (int, float)) else nan
    except OverflowError:
        return inf


def _numbers(state: Made, parts: Parts) -> dict[int | str, dict[str, Any]]:
    """What each parameter has beside tensors, but for what is empty."""
    numbers: dict[int | str, dict[str, Any]] = {}
    for parameter, kept in parts.pairs_of(state):
        if is_plain(parameter):
            held = parts.texts_of(kept).items()
            is_shared = isinstance(kept, Made) and kept.is_shared
            numbers[parameter] = {
                key: None if is_shared else value for key, value in held if value is not None and not is_tensor(value)
            }
            parts.spend(_STEPS * (1 + len(numbers[parameter])))
    return numbers


def is_plain(key: object) -> bool:
    """Whether `key` is a text, or a number that nobody chose to make dicts slow."""
    return type(key) is str or (isinstance(key, int) and type(key) in (int, Placed) and 0 <= key < _LARGEST_KEY)


_LARGEST_KEY = 2**32
_DEEPEST = 4
"""Keys that lead to an optimizer's state at most."""
_STEPS = 20
"""What it takes to note an option or a number, as a look at an entry takes one: most of it is memory."""
