"""Optimizers' states in a training checkpoint: what is kept for each parameter, and how parameters are told."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from initctl.tensors import TensorSpec

Parameter = int | str
"""What a parameter is called in an optimizer: a number, or the tensor's name."""


class Group(NamedTuple):
    """A group of parameters in the order that the optimizer was given, their names where it was told them, and the
    group's options: NaN stands for one that is no number.
    """

    parameters: tuple[Parameter, ...]
    names: tuple[str, ...] | None
    options: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Optimizer:
    """An optimizer's state, as torch saves it at the keys `name`: for each parameter, tensors by what they are called.

    `numbers` are what a parameter has beside tensors, each as a scalar where its bytes can be told. There are no
    `groups` where the checkpoint keeps them sealed.
    """

    name: str
    groups: tuple[Group, ...]
    state: Mapping[Parameter, Mapping[str, TensorSpec]]
    numbers: Mapping[Parameter, Mapping[str, TensorSpec | None]]


class OptimizerFacts(NamedTuple):
    """What a pickle says of an optimizer beside its tensors."""

    groups: tuple[Group, ...]
    numbers: Mapping[Parameter, Mapping[str, TensorSpec | None]]


def optimizers(
    entries: Iterable[tuple[tuple[object, ...], TensorSpec]], told: Mapping[str, OptimizerFacts]
) -> tuple[Optimizer, ...]:
    """The optimizers whose states are among `entries`, tensors by the keys that lead to them.

    What pickles have `told` of them is by their dotted keys.
    """
    found: dict[str, dict[Parameter, dict[str, TensorSpec]]] = {name: defaultdict(dict) for name in told}
    for keys, tensor in entries:
        match keys:
            case (*above, "state", int() | str() as parameter, str(kind)) if (
                name := ".".join(map(str, above))
            ) in told:
                found[name][parameter][kind] = tensor
    return tuple(Optimizer(name, told[name].groups, state, told[name].numbers) for name, state in found.items())
