"""All suggestions for a checkpoint, as a recipe and as data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from initctl.display.folding import listing
from initctl.display.tables import Displayed, Listing
from initctl.errors import InputError, Problem, shown
from initctl.suggesting.laws import find_activation
from initctl.suggesting.recipe import commented_recipe
from initctl.suggesting.suggesting import suggestions

if TYPE_CHECKING:
    from collections.abc import Iterator

    from initctl.display.tables import Report
    from initctl.formats import Checkpoint
    from initctl.suggesting.suggestion import Suggestion


@dataclass(frozen=True, repr=False)
class Suggestions(Displayed):
    """What each floating-point tensor of a `checkpoint` should start from.

    `activation` is the one between layers; if none was named, it `is_assumed`.
    """

    checkpoint: Checkpoint
    tensors: tuple[Suggestion, ...]
    activation: str
    is_assumed: bool

    @classmethod
    def of(cls, checkpoint: Checkpoint, activation: str | None) -> Self:
        """Raises what `suggestions` does, and `InputError` if there is no floating-point tensor."""
        found = suggestions(checkpoint, activation=activation)
        if not found:
            fault = f"{shown(checkpoint.path)}: has no floating-point tensor, so there is nothing to suggest"
            raise InputError(Problem("suggest.nothing", fault))
        return cls(checkpoint, found, find_activation(activation), activation is None)

    @property
    def preset(self) -> str | None:
        """The preset that is for this model, if one decides anything."""
        return next((each.preset for each in self.tensors if each.preset), None)

    def recipe(self) -> str:
        """The TOML text of a recipe that does what is suggested, with the reason and the source beside each rule.

        Its rules decide all floating-point tensors, each as it is suggested, and nothing else.
        """
        return commented_recipe(self._about(), self.checkpoint.tensors, self.tensors)

    def report(self, *, unfold: bool = False) -> Report:
        """One row a tensor: its role, and what it should start from; many are folded unless `unfold`."""
        rows = [(each.tensor.name, (each.role, each.initializer, each.source)) for each in self.tensors]
        heading = ("tensor", "role", "initializer", "source")
        return [Listing(heading, [(name, *rest) for name, rest in listing(rows, unfold=unfold)])]

    def to_json(self) -> dict[str, Any]:
        return {
            "preset": self.preset,
            "activation": self.activation,
            "recipe": self.recipe(),
            "tensors": [each.to_json() for each in self.tensors],
        }

    def _about(self) -> Iterator[str]:
        yield f"Suggested by initctl for {shown(self.checkpoint.path)}."
        if self.preset:
            yield f"config.json names its family: the rules are those of preset {self.preset}, with their numbers."
        if any(each.preset is None for each in self.tensors):
            which = "What the preset leaves" if self.preset else "No preset is for it: each tensor"
            yield f"{which} starts as its role asks, told from names, shapes and neighbors."
            assumed = " This is assumed: name another with --activation." if self.is_assumed else ""
            yield f"Between layers is {self.activation}.{assumed}"
