"""Facts about optimizers in a saved object, besides their tensors: groups of parameters, and numbers."""

from __future__ import annotations

from collections.abc import Iterator
from math import inf, nan
from typing import TYPE_CHECKING, Any

from initctl.dtypes import BY_NAME
from initctl.formats.opening import Malformed
from initctl.formats.optimizers import Group, OptimizerFacts
from initctl.formats.torch_save.standins import Made, MadeTensor, PatchableInt
from initctl.tensors import TensorSpec

if TYPE_CHECKING:
    from initctl.formats.torch_save.graph import Container, Graph
    from initctl.formats.torch_save.looks import Looks

_KEYS = ("param_groups", "state")
_LARGEST_KEY = 2**32
_DEEPEST = 4
"""The most keys that lead to an optimizer's state."""
_OF_A_NUMBER = 20
"""The steps for keeping an option or a number, mostly for its memory; a look at an entry is one step."""
_DTYPES = {1: BY_NAME["uint8"], 2: BY_NAME["uint16"], 4: BY_NAME["int32"]}
"""The dtypes of numbers in a pickle, by their size in bytes."""


def optimizers_in(graph: Graph, file: str, origin: int) -> dict[str, OptimizerFacts]:
    """Facts about each optimizer besides its tensors, by the dotted keys that lead to it.

    The pickle begins at byte `origin` of `file`. A number in it is a tensor of one element if it can be patched.
    """
    found: dict[str, OptimizerFacts] = {}
    for container, groups, state in _states(graph):
        keys = graph.way_to(container, _DEEPEST)
        if keys is None or not all(map(is_plain, keys)):
            continue
        name = ".".join(map(str, keys))
        graph.looks.spend(_OF_A_NUMBER + len(name))
        is_alone = graph.is_alone(container) and not state.is_shared
        numbers: dict[int | str, dict[str, TensorSpec | None]] = {}
        for parameter, kept in _numbers(state, graph.looks).items():
            numbers[parameter] = {}
            for kind, number in kept.items():
                called = f"{name}.state.{parameter}.{kind}" if name else f"state.{parameter}.{kind}"
                graph.looks.spend(len(called))
                numbers[parameter][kind] = _tensor(called, number, file, origin) if is_alone else None
        found[name] = OptimizerFacts(_groups(groups, graph.looks), numbers)
    return found


def _tensor(name: str, value: object, file: str, origin: int) -> TensorSpec | None:
    if not isinstance(value, PatchableInt):
        return None
    return TensorSpec.contiguous(name, _DTYPES[value.width], (), file, origin + value.position)


def _states(graph: Graph) -> Iterator[tuple[Container, list[Any], Made]]:
    """The containers that are optimizers' states, each with its groups and its states by parameter."""
    for container in graph.containers.values():
        named = {key: part for key, part in container.entries if isinstance(key, str) and key in _KEYS}
        groups, state = named.get("param_groups"), named.get("state")
        if isinstance(groups, list) and isinstance(state, Made):
            yield container, groups, state


def _groups(param_groups: list[Any], looks: Looks) -> tuple[Group, ...]:
    """The groups; empty if one of them is not in torch's form, since then their order is not known."""
    groups: list[Group] = []
    known: set[int | str] = set()
    count = 0
    for group in param_groups:
        fields = looks.texts_of(group)
        parameters, names = fields.get("params"), fields.get("param_names")
        if not isinstance(parameters, list):
            return ()
        names = names if isinstance(names, list) else []
        looks.spend(len(parameters) + len(names) + _OF_A_NUMBER * len(fields))
        if not all(map(is_plain, parameters)):
            return ()
        known.update(parameters)
        count += len(parameters)
        if len(known) < count:
            raise Malformed("an optimizer lists a parameter twice")
        texts = tuple(name for name in names if isinstance(name, str))
        options = {key: _as_float(held) for key, held in fields.items()}
        groups.append(Group(tuple(parameters), texts if len(texts) == len(parameters) else None, options))
    return tuple(groups)


def _as_float(held: object) -> float:
    """A number, or NaN for anything else."""
    try:
        return float(held) if isinstance(held, (int, float)) else nan
    except OverflowError:
        return inf


def _numbers(state: Made, looks: Looks) -> dict[int | str, dict[str, Any]]:
    """The values of each parameter that are neither tensors nor None."""
    numbers: dict[int | str, dict[str, Any]] = {}
    for parameter, kept in looks.pairs_of(state):
        if is_plain(parameter):
            held = looks.texts_of(kept).items()
            is_shared = isinstance(kept, Made) and kept.is_shared
            numbers[parameter] = {
                key: None if is_shared else value
                for key, value in held
                if value is not None and not isinstance(value, MadeTensor)
            }
            looks.spend(_OF_A_NUMBER * (1 + len(numbers[parameter])))
    return numbers


def is_plain(key: object) -> bool:
    """Whether `key` is text, or a number in the usual range. A hostile file could choose others to make dicts slow."""
    return type(key) is str or (isinstance(key, int) and type(key) in (int, PatchableInt) and 0 <= key < _LARGEST_KEY)
