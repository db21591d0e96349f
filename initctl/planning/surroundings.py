"""What is the same for all rules and tensors of a checkpoint."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from initctl.formats import Checkpoint, read_checkpoint
from initctl.formats.optimizers.masters import of_optimizers
from initctl.planning.quantized_weights import QuantizedWeight, quantized_weights
from initctl.planning.tied import Tie, ties
from initctl.rules import Glob, highest_numbers
from initctl.rules.elements import NO_NUMBERS
from initctl.rules.expressions.terms import BASE, CONFIG

if TYPE_CHECKING:
    from initctl.rules.regex import Regex
    from initctl.tensors import TensorSpec

_LAYER = re.compile(r"(?:^|\.)([0-9]{1,18})(?=\.|$)")
"""A part of a name that is a whole number."""


class Surroundings:
    """A checkpoint's tensors by name, its quantized weights, the numbers in names, its `config.json`, that of a base
    model, and other checkpoints that rules read.

    Everything that few rules need is computed on first use. Each file is read once.
    """

    def __init__(
        self, checkpoint: Checkpoint, config: Mapping[str, Any] | None = None, base: Mapping[str, Any] | None = None
    ) -> None:
        self.checkpoint = checkpoint
        self.config = config
        self.configs = {CONFIG: config, BASE: base}
        self._others: dict[str, Surroundings] = {}

    @cached_property
    def tensors(self) -> Mapping[str, TensorSpec]:
        return {tensor.name: tensor for tensor in self.checkpoint.tensors}

    @cached_property
    def quantized(self) -> Mapping[str, QuantizedWeight]:
        """The quantized weight that each tensor is a part of, by the tensor's name."""
        return quantized_weights(self.checkpoint)

    @cached_property
    def exact_name_only(self) -> frozenset[str]:
        """The names of tensors that no pattern with wildcards may fill: parts of quantized weights, and tensors of an
        optimizer, if an explicit root makes them part of the state dict.
        """
        root = f"{self.checkpoint.root}." if self.checkpoint.root else ""
        names = of_optimizers(self.checkpoint.optimizers, self.checkpoint.masters)
        return frozenset((*self.quantized, *(name.removeprefix(root) for name in names)))

    @cached_property
    def ties(self) -> Sequence[Tie]:
        """Tensors that the checkpoint may omit because another holds the same values."""
        return ties(self.checkpoint)

    def of(self, path: str | None) -> Surroundings:
        """The surroundings of the checkpoint at `path`, or these if it is None."""
        if path is None:
            return self
        if path not in self._others:
            self._others[path] = Surroundings(read_checkpoint(path))
        return self._others[path]

    def numbers_for(self, names: Glob | Regex) -> Mapping[str, int]:
        """The highest numbers, if the pattern counts from the end; else none."""
        return self._highest if names.counts_back else NO_NUMBERS

    def layer(self, name: str) -> int:
        """The first whole-number part of `name`. Raises `KeyError` with the reason if there is none."""
        if not (found := _LAYER.search(name)):
            raise KeyError("its name has no number between dots; first(layer, -1) gives -1 for such names")
        return int(found[1])

    def layers(self, name: str) -> int:
        """One more than the highest number at the place of `name`'s layer; if it has none, at the usual place."""
        found = _LAYER.search(name)
        if not found and not self._usual:
            raise KeyError("no tensor's name has a number between dots; write the number of layers instead")
        place = name[: found.start(1)] if found else self._usual.most_common(1)[0][0]
        return 1 + self._highest[place]

    @cached_property
    def _highest(self) -> Mapping[str, int]:
        return highest_numbers(self.tensors)

    @cached_property
    def _usual(self) -> Counter[str]:
        return Counter(name[: found.start(1)] for name in self.tensors if (found := _LAYER.search(name)))
