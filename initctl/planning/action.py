"""What a plan does to each tensor: an initializer fills it, or some rows of it; or it is kept."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from initctl.stream.devices import CPU
from initctl.tensors import RowRange, TensorPart, TensorSpec

if TYPE_CHECKING:
    from initctl.formats import Checkpoint
    from initctl.rules import Rule
    from initctl.stream import AnyLaw, Source

RESET = "--reset-optimizer"
"""The source of a rule that resets optimizer state."""


class Located(NamedTuple):
    """A tensor that others are filled from, and the checkpoint that holds it."""

    checkpoint: Checkpoint
    tensor: TensorSpec


class Action(NamedTuple):
    """One tensor that a rule fills, or some `rows` of it.

    `initializer` is the initializer's canonical name. `arguments` are its arguments, defaults included; an optional
    parameter that was not given is absent. `derived` are the numbers computed from them for this tensor (`fan_in`,
    `std`). `law` computes the values, on `device`; `sources` are other tensors that it reads. Random values depend on
    the tensor's own name, or on `values_of`, the name of a tensor that this is a copy of.
    """

    tensor: TensorSpec
    rule: Rule
    initializer: str
    arguments: Mapping[str, int | float | str]
    derived: Mapping[str, int | float]
    law: AnyLaw
    device: str = CPU
    rows: RowRange | None = None
    sources: Mapping[Source, Located] = MappingProxyType({})
    values_of: str | None = None

    def of(self, tensor: TensorSpec) -> Action:
        """The same on `tensor`, which is alike."""
        return Action(tensor, *self[1:])

    @property
    def value_name(self) -> str:
        """The name that random values depend on."""
        return self.values_of or self.tensor.value_name

    @property
    def part(self) -> TensorPart:
        return TensorPart(self.tensor, self.rows)

    @property
    def params(self) -> dict[str, int | float | str]:
        """Arguments and derived numbers; if both have a name, the derived number wins."""
        return {**self.arguments, **self.derived}

    def to_json(self) -> dict[str, Any]:
        return _json(self, {"init": self.initializer, "params": self.params, "device": self.device})

    def to_document(self) -> dict[str, Any]:
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


class Kept(NamedTuple):
    """One tensor that is kept, or some `rows` of it: by a `keep` rule, or because no rule decides it."""

    tensor: TensorSpec
    rule: Rule | None
    rows: RowRange | None = None

    def of(self, tensor: TensorSpec) -> Kept:
        """The same of `tensor`, which is alike."""
        return Kept(tensor, *self[1:])

    @property
    def part(self) -> TensorPart:
        return TensorPart(self.tensor, self.rows)

    def to_json(self) -> dict[str, Any]:
        return _json(self, {})


def _json(entry: Action | Kept, done: Mapping[str, Any]) -> dict[str, Any]:
    """The JSON of an action or of a kept part; `done` are the fields that only an action has."""
    tensor, part = entry.tensor, entry.part
    return {
        "tensor": tensor.name,
        "shape": list(tensor.shape),
        "old_shape": tensor.old and list(tensor.old.shape),
        "dtype": tensor.dtype.name,
        "rows": entry.rows and list(entry.rows),
        "rule": entry.rule and entry.rule.text,
        "source": entry.rule and entry.rule.source,
        **done,
        "elements": part.numel,
        "bytes": part.nbytes,
    }
