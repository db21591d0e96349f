"""An optimizer's state: tensors for each parameter, and how the optimizer names parameters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from initctl.tensors import TensorSpec

ParameterKey = int | str
"""How an optimizer names a parameter: by a number, or by the tensor's name."""


class Group(NamedTuple):
    """A group of parameters in the optimizer's order, with their names if they are saved, and the group's options.

    An option that is not a number is NaN.
    """

    parameters: tuple[ParameterKey, ...]
    names: tuple[str, ...] | None
    options: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Optimizer:
    """An optimizer's state at the dotted keys `name`: for each parameter, its tensors by kind.

    `numbers` are numbers that a parameter has besides tensors, each as a scalar if its bytes can be found. `groups` are
    empty if initctl cannot read them. `tensors` are the full names of all tensors of the optimizer. `file` is the name
    of its file, if that is another one than the weights'.
    """

    name: str
    groups: tuple[Group, ...]
    state: Mapping[ParameterKey, Mapping[str, TensorSpec]]
    numbers: Mapping[ParameterKey, Mapping[str, TensorSpec | None]]
    tensors: frozenset[str] = frozenset()
    file: str | None = None

    @property
    def label(self) -> str:
        """Its name in messages."""
        return self.name or self.file or "state"

    @property
    def kinds(self) -> tuple[str, ...]:
        """The names of the states that it keeps for parameters, sorted."""
        return tuple(sorted({kind for kept in (*self.state.values(), *self.numbers.values()) for kind in kept}))


class OptimizerFacts(NamedTuple):
    """Facts about an optimizer in a pickle, besides its tensors."""

    groups: tuple[Group, ...]
    numbers: Mapping[ParameterKey, Mapping[str, TensorSpec | None]]
