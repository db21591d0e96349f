"""The plan: plain data, in the order of the checkpoint's table."""

from __future__ import annotations

import json
import os
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from initctl.errors import Problem, UsageError, shown
from initctl.initializers import KEEP
from initctl.planning.digests import table_digest, tensors_digest
from initctl.planning.documents import SCHEMA, check_replaceable, signed
from initctl.stream.engines.choosing import CPU
from initctl.tensors import TensorPart

PHILOX, TORCH = "philox", "torch"
"""Where random numbers come from: value stream v1, or torch's own generator."""


if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

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

    def to_document(self) -> dict[str, Any]:
        """What is saved of it."""
        return {
            "tensor": self.tensor.name,
            "rows": self.rows and list(self.rows),
            "rule": self.rule.text,
            "source": self.rule.source,
            "init": self.initializer,
            "arguments": dict(self.arguments),
            "derived": dict(self.derived),
            "device": self.device,
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

    def save(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
        """Write the plan to the file `path`, so that `initctl.load_plan` gives it again, for just this checkpoint.

        The file appears in one step, and takes the place of a plan or an empty file; of another file only by
        `overwrite`, else `ConflictError`. Raises `StorageError`, `UncertainError`, and `UsageError` if a file of the
        checkpoint is there.
        """
        from initctl.commit import write_file

        path = os.fspath(path)
        tables = (self.checkpoint, *other_checkpoints(self.actions).values())
        if os.path.exists(path) and any(table.holds(path) for table in tables):
            fault = f"{shown(path)}: is a file of the checkpoint that the plan is for"
            raise UsageError(Problem("output.input", fault, "name another file"))
        if not overwrite:
            check_replaceable(path)
        write_file(path, (json.dumps(self.to_document(), indent=1) + "\n").encode())

    def to_document(self) -> dict[str, Any]:
        """The plan as it is saved: what is done to which tensor, with every number, and what tells the checkpoint's
        table from any other's.
        """
        return signed(
            {
                "schema": SCHEMA,
                "checkpoint": self.checkpoint.path,
                "table": table_digest(self.checkpoint),
                "tensors": tensors_digest(self.checkpoint),
                "root": self.checkpoint.root,
                "component": self.checkpoint.component,
                "seed": self.seed,
                "rng": self.rng,
                "reset_optimizer": self.buffers is not None,
                "buffers": list(self.buffers or ()),
                "actions": [action.to_document() for action in self.actions],
                "sources": {path: table_digest(table) for path, table in other_checkpoints(self.actions).items()},
            }
        )

    def rows(self) -> list[dict[str, Any]]:
        """One dict for each part of each tensor, in the checkpoint's order, and then for each reset: what is done to
        it, or "keep" under "init". So `pandas.DataFrame(plan.rows())` is a table of the plan.
        """
        order = {id(tensor): number for number, tensor in enumerate(self.checkpoint.tensors)}
        parts: list[Action | Kept] = [*self.actions, *self.kept]
        parts.sort(key=lambda part: (order[id(part.tensor)], part.rows or ()))
        kept: dict[str, Any] = {"init": KEEP, "params": {}, "device": None}
        written = [part.to_json() | (kept if isinstance(part, Kept) else {}) for part in parts]
        return written + [reset.to_json() for reset in self.resets]

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


def other_checkpoints(actions: Iterable[Action]) -> dict[str, Checkpoint]:
    """The other checkpoints that tensors are filled from, by the paths that rules call them by."""
    places = [pair for action in actions for pair in action.sources.items()]
    return {source.checkpoint: place.checkpoint for source, place in places if source.checkpoint is not None}


def _place(action: Action) -> tuple[str, tuple[int, int] | None]:
    """What tied tensors have in common."""
    return action.stream_name, action.rows


def _tensor_json(tensor: TensorSpec) -> dict[str, Any]:
    return {"tensor": tensor.name, "shape": list(tensor.shape), "dtype": tensor.dtype.name}


def _size_json(part: TensorPart) -> dict[str, int]:
    return {"elements": part.numel, "bytes": part.nbytes}
