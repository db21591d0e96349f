"""A checkpoint → suggestions for all of its floating-point tensors."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from typing import TYPE_CHECKING

from initctl.initializers import KEEP
from initctl.planning.deciding import misfit
from initctl.planning.surroundings import Surroundings
from initctl.rules import parse_rule
from initctl.suggesting.activations import Advice, choose_activation
from initctl.suggesting.families import Family, family
from initctl.suggesting.laws import advice
from initctl.suggesting.neighbors import Neighbors, Seen
from initctl.suggesting.roles import roles
from initctl.suggesting.suggestion import Suggestion

if TYPE_CHECKING:
    from initctl.formats import Checkpoint
    from initctl.tensors import TensorSpec

_OF_FAMILY = "The model's own code uses this law"


def suggestions(
    checkpoint: Checkpoint, *, activation: str | None = None, preset: str | None = None
) -> tuple[Suggestion, ...]:
    """The law that each floating-point tensor of `checkpoint`, and each part of a quantized weight, should start from.

    They are in the checkpoint's order. The rules of `preset` decide first, by default those of the preset for the model
    in `config.json`. Other tensors get the law of their role. `activation` is the one between layers, by default the
    one in `config.json`, or else ReLU.

    Raises `UsageError` if the activation or the preset is unknown, `FitError` if the preset fills nothing, and
    `InputError` if config.json cannot be read.
    """
    config = checkpoint.config()
    chosen = choose_activation(activation, config)
    return tuple(_Suggesting(checkpoint, family(checkpoint, config, preset), chosen.name).suggestions())


class _Suggesting:
    """Suggests for one tensor after another; tensors of one kind are examined once."""

    def __init__(self, checkpoint: Checkpoint, family: Family, activation: str) -> None:
        self._family, self._activation = family, activation
        self._of_kind: dict[Hashable, Advice] = {}
        self._faults: dict[Hashable, str | None] = {}
        self._neighbors = Neighbors(checkpoint.tensors)
        self._around = Surroundings(checkpoint)
        self._roles = roles(self._neighbors, self._around.quantized)

    def suggestions(self) -> Iterator[Suggestion]:
        for tensor in self._neighbors.tensors:
            if tensor.name in self._roles:
                yield from self._of(tensor)

    def _of(self, tensor: TensorSpec) -> Iterator[Suggestion]:
        """The suggestions of the family, or else of the role; tied tensors have the same."""
        role = self._roles[tensor.name]
        names = tensor.tied or (tensor.name,)
        decisions = next((self._family.decisions[name] for name in names if name in self._family.decisions), [])
        for call, formula, rows in decisions:
            reason = f"{_OF_FAMILY}: {formula}." if formula else f"{_OF_FAMILY}."
            yield Suggestion(tensor, role, call, reason, self._family.source, self._family.preset, rows)
        if not decisions:
            found = self._advice(role, self._neighbors.by_name.get(names[0], tensor))
            yield Suggestion(tensor, role, *self._fitting(found, tensor))

    def _advice(self, role: str, tensor: TensorSpec) -> Advice:
        """The law for a role; tensors that look the same get the same."""
        kind = role, self._neighbors.kind(tensor)
        if kind not in self._of_kind:
            self._of_kind[kind] = advice(role, Seen(tensor, self._neighbors), self._activation)
        return self._of_kind[kind]

    def _fitting(self, found: Advice, tensor: TensorSpec) -> Advice:
        """`found`, or `keep` if it does not fit `tensor`, because its elements share memory, or if it has none."""
        if not tensor.numel:
            return Advice(KEEP, "It has no elements.", "")
        key = found.initializer, tensor.dtype.name, tensor.shape, tensor.is_expanded
        if key not in self._faults:
            rule = parse_rule(f"*={found.initializer}", found.initializer)
            self._faults[key] = misfit(rule, tensor, self._around)
        return Advice(KEEP, f"{self._faults[key]}.", "") if self._faults[key] else found
