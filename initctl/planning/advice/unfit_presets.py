"""Presets that do not fit: they fill nothing, or leave a part of the weights."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from initctl.errors import Problem, listed, shown
from initctl.initializers import KEEP
from initctl.planning.advice.left_alone import DEQUANTIZE, is_learned
from initctl.planning.advice.quantized_names import by_weight, make_up
from initctl.tensors import TensorPart

if TYPE_CHECKING:
    from initctl.planning.deciding import Decided
    from initctl.planning.surroundings import Surroundings
    from initctl.rules import Rule

_MATRIX = 2
"""The fewest dims of the tensors that hold most of a model's elements."""
_LAYER = re.compile(r"(?<![^.])[0-9]+\.")
"""A number between dots of a name."""
_COMPARED = 200
"""The most names that presets are compared by."""
_FITTING = 0.9
"""The share of them that a preset must match to be proposed."""
_NOBODYS = "zzz.weight"
"""A name that no model has."""


class FromPreset(NamedTuple):
    """The rules of a preset, or of a recipe that extends one; `name` is the preset's, if one was asked for."""

    source: str
    rules: Sequence[Rule]
    name: str | None


def idle_preset(preset: FromPreset, decided: Decided, around: Surroundings) -> Problem | None:
    """The problem of a requested preset that fills nothing."""
    rules = {id(rule) for rule in preset.rules if rule.call.name != KEEP}
    if not preset.name or any(coverage.decided for coverage in decided.coverages if id(coverage.rule) in rules):
        return None
    message = f"preset {preset.name}: fills no tensor of {shown(around.checkpoint.path)}"
    hint = "its patterns are for another model family, or later rules override them all"
    return Problem("preset.unused", message, hint)


class Left:
    """All weights (learned or quantized), and those that no rule decides, at least in part."""

    def __init__(self, decided: Decided, around: Surroundings) -> None:
        self.around, quantized = around, around.quantized
        self.weights = [
            tensor for tensor in around.checkpoint.tensors if tensor.name in quantized or is_learned(tensor)
        ]
        names = {tensor.name for tensor in self.weights}
        self.parts = [kept.part for kept in decided.kept if kept.rule is None and kept.tensor.name in names]
        self.names = list(dict.fromkeys(part.tensor.name for part in self.parts))
        self.quantized = [name for name in self.names if name in quantized]
        self.plain = [name for name in self.names if name not in quantized]

    @property
    def is_most(self) -> bool:
        """Whether most elements of matrices are left."""
        left = _elements(part for part in self.parts if len(part.tensor.shape) >= _MATRIX)
        return 2 * left > _elements(TensorPart(weight) for weight in self.weights if len(weight.shape) >= _MATRIX)

    @property
    def has_layers(self) -> bool:
        """Whether a matrix of a numbered layer is left that is not quantized."""
        matrices = (part.tensor.name for part in self.parts if len(part.tensor.shape) >= _MATRIX)
        return any(_LAYER.search(name) and name not in self.around.quantized for name in matrices)

    @property
    def percent(self) -> str:
        share = 100 * _elements(self.parts) / max(1, _elements(map(TensorPart, self.weights)))
        if share < 1:
            return "less than 1%"
        return f"{share:.0f}%" if share < 99 or len(self.parts) == len(self.weights) else "more than 99%"

    def __str__(self) -> str:
        """A clause: how many tensors, what share of the elements, and which."""
        quantized = self.around.quantized
        kind = "floating-point and quantized tensors" if quantized else "floating-point tensors"
        clause = f"leaves {len(self.names)} of {len(self.weights)} {kind} ({self.percent} of the elements) unchanged"
        which = [listed([shown(name) for name in self.plain])] if self.plain else []
        if self.quantized:
            which.append(f"{by_weight(self.quantized, quantized)}: {make_up(self.quantized, quantized)}")
        return f"{clause}: {'; and '.join(which)}"


def partial_preset(preset: FromPreset, left: Left, *, refused: bool) -> Problem:
    """The problem of a preset that leaves some weights undecided, even with the rules after it."""
    hints = [DEQUANTIZE] if left.quantized else []
    fault = f"{shown(preset.source)}: {left}"
    if len(left.quantized) < len(left.names):
        if left.is_most:
            hints.append(_choose(_better(left, preset)))
        elif left.has_layers:
            fault += "; the preset does not know all layers, which may have the names of another library"
            likely = _likely(left, preset, left.plain)
            hints.append(_choose(f"likely: {likely}") if likely else "let `initctl suggest` make a recipe")
        hints.append("add rules for the rest")
    hints.append("or pass --allow-partial" if refused else "or pass --require-all to refuse this")
    return Problem("preset.partial", fault, ", ".join(hints))


def _elements(parts: Iterable[TensorPart]) -> int:
    """Elements of tied tensors count once."""
    return sum(part.numel for part in parts if part.tensor.represents_ties)


def _choose(which: str) -> str:
    return f"choose a preset for this model ({which})"


def _better(left: Left, preset: FromPreset) -> str:
    """The preset for config.json's kind of model; else the presets whose rules match nearly all weights."""
    from initctl.recipes.presets import better_preset

    if preset.name and (found := better_preset(preset.name, left.around.config)):
        return found.name
    likely = _likely(left, preset)
    return f"likely: {likely}" if likely else "`initctl presets` lists them"


def _likely(left: Left, preset: FromPreset, needed: Sequence[str] = ()) -> str:
    """Other presets whose rules match nearly all weights, and all that are `needed`, best first; may be empty."""
    from initctl.recipes.presets import presets

    names = [weight.name for weight in left.weights if weight.name not in left.around.quantized][:_COMPARED]
    needed = needed[:_COMPARED]
    scores = {name: score for name in presets() if (score := _score(name, names, needed)) and name != preset.name}
    return listed(sorted(scores, key=lambda name: scores[name], reverse=True))


def _score(preset: str, names: Sequence[str], needed: Sequence[str]) -> float:
    """The share of a preset's rules that match one of `names`; 0 unless nearly all are matched, and all of `needed`.

    Also 0 for a preset whose rules match any name: it is not made for these.
    """
    from initctl.recipes.reading import read_preset

    selectors = [rule.selector.names for rule in read_preset(preset).rules]
    matching = [{number for number, glob in enumerate(selectors) if glob.matches(name)} for name in (_NOBODYS, *names)]
    matched = sum(map(bool, matching[1:]))
    if matching[0] or matched <= _FITTING * len(names):
        return 0
    if not all(any(glob.matches(name) for glob in selectors) for name in needed):
        return 0
    return len(set().union(*matching)) / len(selectors)
