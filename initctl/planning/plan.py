"""The plan: plain data, in the order of the checkpoint's table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from initctl.stream.engines.choosing import CPU

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from initctl.errors import Problem
    from initctl.formats import Checkpoint
    from initctl.rules import Rule
    from initctl.stream import Fill, WholeFill
    from initctl.tensors import TensorSpec


@dataclass(frozen=True, slots=True)
class Action:
    """One tensor that a rule fills.

    `initializer` is the initializer's own name, `arguments` what it was called with, defaults included where they are
    not of optional parameters, and `derived` the numbers that follow from them for this tensor (`fan_in`, `std`).
    `fill` computes the values, on `device`.
    """

    tensor: TensorSpec
    rule: Rule
    initializer: str
    arguments: Mapping[str, int | float | str]
    derived: Mapping[str, int | float]
    fill: Fill | WholeFill
    device: str = CPU

    @property
    def params(self) -> dict[str, int | float | str]:
        """Arguments and derived numbers; where both have a name, the derived number holds."""
        return {**self.arguments, **self.derived}

    def to_json(self) -> dict[str, Any]:
        return {
            **_tensor_json(self.tensor),
            "rows": None,
            "rule": self.rule.text,
            "source": self.rule.source,
            "init": self.initializer,
            "params": self.params,
            "device": self.device,
            **_size_json(self.tensor),
        }


@dataclass(frozen=True, slots=True)
class Kept:
    """One tensor that stays as it is: by a `keep` rule, or because no rule decides it."""

    tensor: TensorSpec
    rule: Rule | None

    def to_json(self) -> dict[str, Any]:
        return {
            **_tensor_json(self.tensor),
            "rule": self.rule and self.rule.text,
            "source": self.rule and self.rule.source,
            **_size_json(self.tensor),
        }


class Totals(NamedTuple):
    """How many tensors by name, and how many elements and bytes they have: those of tied ones count once."""

    tensors: int
    elements: int
    bytes: int

    @classmethod
    def of(cls, tensors: Iterable[TensorSpec]) -> Totals:
        tensors = tuple(tensors)
        once = [tensor for tensor in tensors if tensor.is_first]
        return cls(len(tensors), sum(t.numel for t in once), sum(t.nbytes for t in once))


@dataclass(frozen=True, slots=True)
class Plan:
    """What `apply` does to a checkpoint under a seed. Every tensor is in `actions` or in `kept`.

    `resets` are actions on what lies outside of the state dict: what an optimizer remembers of filled tensors.
    """

    checkpoint: Checkpoint
    seed: int
    actions: tuple[Action, ...]
    kept: tuple[Kept, ...]
    warnings: tuple[Problem, ...]
    resets: tuple[Action, ...] = ()

    @property
    def writes(self) -> tuple[Action, ...]:
        """All that is written."""
        return self.actions + self.resets

    @property
    def initialized(self) -> Totals:
        """What rules fill."""
        return Totals.of(action.tensor for action in self.actions)

    @property
    def untouched(self) -> Totals:
        """What stays as it is."""
        return Totals.of(kept.tensor for kept in self.kept)

    @property
    def reset(self) -> Totals:
        """What an optimizer forgets."""
        return Totals.of(action.tensor for action in self.resets)

    def to_json(self) -> dict[str, Any]:
        """The plan as the `data` of a JSON document; warnings stand beside it there."""
        return {
            "checkpoint": self.checkpoint.path,
            "format": self.checkpoint.format,
            "root": self.checkpoint.root,
            "seed": self.seed,
            "actions": [action.to_json() for action in self.actions],
            "kept": [kept.to_json() for kept in self.kept],
            "resets": [action.to_json() for action in self.resets],
            "totals": {
                **Totals.of(self.checkpoint.tensors)._asdict(),
                "initialized": self.initialized._asdict(),
                "kept": self.untouched._asdict(),
                "reset": self.reset._asdict(),
            },
        }


def _tensor_json(tensor: TensorSpec) -> dict[str, Any]:
    return {"tensor": tensor.name, "shape": list(tensor.shape), "dtype": tensor.dtype.name}


def _size_json(tensor: TensorSpec) -> dict[str, int]:
    return {"elements": tensor.numel, "bytes": tensor.nbytes}
