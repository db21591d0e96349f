"""All suggestions for a checkpoint, as a recipe and as data."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from initctl.display.folding import listing
from initctl.display.tables import Displayed, Listing, Report
from initctl.errors import InputError, Problem, shown
from initctl.recipes.presets import find_preset
from initctl.suggesting.activations import ActivationChoice, choose_activation
from initctl.suggesting.recipe import commented_recipe
from initctl.suggesting.suggesting import suggestions

if TYPE_CHECKING:
    from initctl.formats import Checkpoint
    from initctl.suggesting.suggestion import Suggestion


_FOLLOWED = ("linear", "conv", "magnitude")
"""Roles whose law depends on the activation."""


@dataclass(frozen=True, repr=False)
class Suggestions(Displayed):
    """The law that each floating-point tensor of a `checkpoint` should start from, with `activation` between layers."""

    checkpoint: Checkpoint
    tensors: tuple[Suggestion, ...]
    activation: ActivationChoice

    @classmethod
    def of(cls, checkpoint: Checkpoint, activation: str | None) -> Self:
        """Raises the errors of `suggestions`, and `InputError` if there is no floating-point tensor."""
        chosen = choose_activation(activation, checkpoint.config())
        found = suggestions(checkpoint, activation=chosen.name)
        if not found:
            fault = f"{shown(checkpoint.path)}: has no floating-point tensor, so there is nothing to suggest"
            raise InputError(Problem("suggest.nothing", fault))
        return cls(checkpoint, found, chosen)

    @property
    def preset(self) -> str | None:
        """The preset for this model, if it decides anything."""
        return next((each.preset for each in self.tensors if each.preset), None)

    @property
    def asks_activation(self) -> bool:
        """Whether a suggestion depends on the activation."""
        return any(each.role in _FOLLOWED and each.preset is None for each in self.tensors)

    @property
    def warnings(self) -> tuple[Problem, ...]:
        """The warnings of the checkpoint, and one if the user named an activation that has no effect."""
        if not self.activation.is_asked or self.asks_activation:
            return self.checkpoint.warnings
        why = f"preset {self.preset} decides all layers" if self.preset else "there are no layers around it"
        message = f"activation {self.activation.name} has no effect: {why}"
        return *self.checkpoint.warnings, Problem("suggest.activation", message)

    def recipe(self) -> str:
        """The suggestions as the TOML text of a recipe, with the reason and the source above each rule.

        Its rules decide all floating-point tensors, and nothing else.
        """
        return commented_recipe(self._about(), self.checkpoint.tensors, self.tensors)

    def report(self, *, unfold: bool = False) -> Report:
        """One row a tensor: its role and its initializer; long lists folded unless `unfold`."""
        rows = [(each.tensor.name, (each.role, each.initializer, each.source)) for each in self.tensors]
        heading = ("tensor", "role", "initializer", "source")
        return [Listing(heading, [(name, *rest) for name, rest in listing(rows, unfold=unfold)])]

    def to_json(self) -> dict[str, Any]:
        return {
            "preset": self.preset,
            "activation": self.activation.name if self.asks_activation else None,
            "recipe": self.recipe(),
            "tensors": [each.to_json() for each in self.tensors],
        }

    def _about(self) -> Iterator[str]:
        yield f"Suggested by initctl for {shown(self.checkpoint.path)}."
        if self.preset:
            yield f"config.json names a model of preset {self.preset}. Its rules follow, with numbers for formulas."
            yield f"Source: {find_preset(self.preset).source}"
        if any(each.preset is None for each in self.tensors):
            yield "The preset leaves some tensors." if self.preset else "There is no preset for this model."
            which = "Each of them" if self.preset else "Each tensor"
            yield f"{which} is initialized by its role, found from its name, its shape and its neighbors."
        if self.asks_activation:
            yield f"The activation between layers is {self.activation.name}{self.activation.origin}."
