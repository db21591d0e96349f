"""The plan: plain data, in the order of the checkpoint's table."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from initctl.stream.engines.choosing import CPU
from initctl.tensors import TensorPart

PHILOX, TORCH = "philox", "torch"
"""Where random numbers come from: value stream v1, or torch's own generator."""


if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from initctl.errors import Problem
    from initctl.formats import Checkpoint
    from initctl.planning.sources import Located
    from initctl.rules import Rule
    from initctl.stream import AnyLaw, Source
    from initctl.tensors import TensorSpec


@dataclass(frozen=True, slots=True)
class Action:
    """One tensor that a rule fills, or some `rows` of it.

    `initializer` is the initializer's own name, `arguments` what it was called with, defaults included where they are
    not of optional parameters, and `derived` the numbers that follow from them for this tensor (`fan_in`, `std`).
    `fill` computes the values, on `device`; `sources` are other tensors that it reads. Values derive from the tensor's
    own name, or from `stream`, the name of a tensor that this is a copy of.
    """

    tensor: TensorSpec
    rule: Rule
    initializer: str
    arguments: Mapping[str, int | float | str]
    derived: Mapping[str, int | float]
    law: AnyLaw
    device: str = CPU
    rows: tuple[int, int] | None = None
    sources: Mapping[Source, Located] = field(default_factory=dict)
    stream: str | None = None

    @property
    def stream_name(self) -> str:
        """The name that values derive from."""
        return self.stream or self.tensor.stream_name

    @property
    def part(self) -> TensorPart:
        """What is filled."""
        return TensorPart(self.tensor, self.rows)

    @property
    def params(self) -> dict[str, int | float | str]:
        """Arguments and derived numbers; where both have a name, the derived number holds."""
        return {**self.arguments, **self.derived}

    def to_json(self) -> dict[str, Any]:
        return {
            **_tensor_json(self.tensor),
            "rows": self.rows and list(self.rows),
            "rule": self.rule.text,
            "source": self.rule.source,
            "init": self.initializer,
            "params": self.params,
            "device": self.device,
            **_size_json(self.part),
        }


@dataclass(frozen=True, slots=True)
class Kept:
    """One tensor that stays as it is, or some `rows` of it: by a `keep` rule, or because no rule decides it."""

    tensor: TensorSpec
    rule: Rule | None
    rows: tuple[int, int] | None = None

    @property
    def part(self) -> TensorPart:
        """What is kept."""
        return TensorPart(self.tensor, self.rows)

    def to_json(self) -> dict[str, Any]:
        return {
            **_tensor_json(self.tensor),
            "rows": self.rows and list(self.rows),
            "rule": self.rule and self.rule.text,
            "source": self.rule and self.rule.source,
            **_size_json(self.part),
        }


class Totals(NamedTuple):
    """How many tensors by name, at least in part, and how many elements and bytes: those of tied ones count once."""

    tensors: int
    elements: int
    bytes: int

    @classmethod
    def of(cls, parts: Iterable[TensorPart]) -> Totals:
        parts = tuple(parts)
        once = [part for part in parts if part.tensor.is_first]
        tensors = {id(part.tensor) for part in parts}
        return cls(len(tensors), sum(part.numel for part in once), sum(part.nbytes for part in once))


@dataclass(frozen=True, slots=True)
class Plan:
    """What `apply` does to a checkpoint under a seed. Every row of every tensor is in `actions` or in `kept`.

    `resets` are actions on what is outside of the state dict: what an optimizer remembers of filled tensors. If that
    was asked for, there are `buffers`: patterns for the names of tensors that are not parameters.
    """

    checkpoint: Checkpoint
    seed: int
    actions: tuple[Action, ...]
    kept: tuple[Kept, ...]
    warnings: tuple[Problem, ...]
    resets: tuple[Action, ...] = ()
    rng: str = PHILOX
    buffers: tuple[str, ...] | None = None

    @property
    def distinct_actions(self) -> tuple[Action, ...]:
        """The actions, one for tied tensors, where the first of them stands in the checkpoint."""
        standing = {_place(action): action for action in self.actions if action.tensor.is_first}
        return tuple(standing[place] for place in dict.fromkeys(map(_place, self.actions)))

    def check_sources(self) -> None:
        """Raise `ConflictError` where another checkpoint that tensors are filled from has changed."""
        for action in self.actions:
            for checkpoint, tensor in action.sources.values():
                checkpoint.check_unchanged(file for file in checkpoint.files if file.name in tensor.files)

    @property
    def written(self) -> tuple[Action, ...]:
        """All that is written, each place once."""
        return self.distinct_actions + self.resets

    @property
    def initialized(self) -> Totals:
        """What rules fill."""
        return Totals.of(action.part for action in self.actions)

    @property
    def kept_totals(self) -> Totals:
        """What stays as it is."""
        return Totals.of(kept.part for kept in self.kept)

    @property
    def reset_totals(self) -> Totals:
        """What an optimizer forgets."""
        return Totals.of(action.part for action in self.resets)

    def to_json(self) -> dict[str, Any]:
        """The plan as the `data` of a JSON document; warnings stand beside it there."""
        return {
            "checkpoint": self.checkpoint.path,
            "format": self.checkpoint.format,
            "root": self.checkpoint.root,
            "seed": self.seed,
            "rng": self.rng,
            "actions": [action.to_json() for action in self.actions],
            "kept": [kept.to_json() for kept in self.kept],
            "resets": [action.to_json() for action in self.resets],
            "totals": {
                **Totals.of(map(TensorPart, self.checkpoint.tensors))._asdict(),
                "initialized": self.initialized._asdict(),
                "kept": self.kept_totals._asdict(),
                "reset": self.reset_totals._asdict(),
            },
        }


def untouched(tensors: Iterable[TensorSpec], actions: Iterable[Action]) -> Iterator[TensorPart]:
    """What `actions` leave of `tensors`. Raises `ValueError` where they fill rows of one twice."""
    filled: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for action in actions:
        shape = action.tensor.shape
        filled[action.tensor.name].append(action.rows or (0, shape[0] if shape else 1))
    for tensor in tensors:
        if tensor.name not in filled:
            yield TensorPart(tensor)
            continue
        reached, end = 0, tensor.shape[0] if tensor.shape else 1
        for start, stop in [*sorted(filled[tensor.name]), (end, end)]:
            if start < reached:
                raise ValueError(f"rows of {tensor.name} are filled twice")
            if reached < start:
                yield TensorPart(tensor, (reached, start))
            reached = stop


def _place(action: Action) -> tuple[str, tuple[int, int] | None]:
    """What tied tensors have in common."""
    return action.stream_name, action.rows


def _tensor_json(tensor: TensorSpec) -> dict[str, Any]:
    return {"tensor": tensor.name, "shape": list(tensor.shape), "dtype": tensor.dtype.name}


def _size_json(part: TensorPart) -> dict[str, int]:
    return {"elements": part.numel, "bytes": part.nbytes}
