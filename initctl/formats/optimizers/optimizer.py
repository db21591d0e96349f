"""An optimizer's state: what is kept for each parameter, and how parameters are called."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from initctl.tensors import TensorSpec

ParameterKey = int | str
"""What a parameter is called in an optimizer: a number, or the tensor's name."""


class Group(NamedTuple):
    """A group of parameters in the order that the optimizer was given, their names if it knows them, and the group's
    options: one that is not a number is NaN.
    """

    parameters: tuple[ParameterKey, ...]
    names: tuple[str, ...] | None
    options: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Optimizer:
    """An optimizer's state, found at the keys `name`: for each parameter, tensors by what they are called.

    `numbers` are what a parameter has beside tensors, each as a scalar if its bytes can be found. There are no
    `groups` if the checkpoint keeps them sealed. `tensors` are the whole names of all that is the optimizer's. One in
    a `file` of its own has that file's name.
    """

    name: str
    groups: tuple[Group, ...]
    state: Mapping[ParameterKey, Mapping[str, TensorSpec]]
    numbers: Mapping[ParameterKey, Mapping[str, TensorSpec | None]]
    tensors: frozenset[str] = frozenset()
    file: str | None = None

    @property
    def label(self) -> str:
        """What messages call it."""
        return self.name or self.file or "state"

    @property
    def kinds(self) -> tuple[str, ...]:
        """What it keeps for parameters, in alphabetical order."""
        return tuple(sorted({kind for kept in (*self.state.values(), *self.numbers.values()) for kind in kept}))


class OptimizerFacts(NamedTuple):
    """What a pickle says of an optimizer beside its tensors."""

    groups: tuple[Group, ...]
    numbers: Mapping[ParameterKey, Mapping[str, TensorSpec | None]]
