"""Presets that do not fit: those that fill nothing, and those that leave a part of the weights as they are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from initctl.errors import Problem, listed, shown
from initctl.initializers import KEEP
from initctl.planning.advice.left_alone import DEQUANTIZE
from initctl.planning.advice.naming import by_weight, make_up
from initctl.planning.computed import computed_kind
from initctl.tensors import TensorPart

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from initctl.formats import Checkpoint
    from initctl.planning.deciding import Decided
    from initctl.planning.quantization.weights import QuantizedWeight
    from initctl.rules import Rule
    from initctl.tensors import TensorSpec

_MATRIX = 2
"""Dims of what most of a model's elements are in."""
_COMPARED = 200
"""Names by which presets are compared at most."""
_FITTING = 0.9
"""Share of them that a preset must match to be proposed."""
_NOBODYS = "zzz.weight"
"""A name that no model has."""


class FromPreset(NamedTuple):
    """The rules of a preset, or of a recipe that extends one; `name` is the preset's, if it was asked for by name."""

    source: str
    rules: Sequence[Rule]
    name: str | None

    def fills_nothing(self, decided: Decided) -> bool:
        """Whether all that its rules decide is kept."""
        rules = {id(rule) for rule in self.rules if rule.call.name != KEEP}
        return not any(coverage.decided for coverage in decided.coverages if id(coverage.rule) in rules)


class Left(NamedTuple):
    """Weights that no rule decides, at least in part, and all weights: those that are learned, or quantized."""

    parts: Sequence[TensorPart]
    weights: Sequence[TensorSpec]
    quantized: Mapping[str, QuantizedWeight]

    @classmethod
    def of(cls, tensors: Iterable[TensorSpec], decided: Decided) -> Left:
        weights = [tensor for tensor in tensors if tensor.name in decided.quantized or _is_learned(tensor)]
        names = {tensor.name for tensor in weights}
        parts = [kept.part for kept in decided.kept if kept.rule is None and kept.tensor.name in names]
        return cls(parts, weights, decided.quantized)

    @property
    def names(self) -> list[str]:
        """What the tensors are called that are left, each once."""
        return list(dict.fromkeys(part.tensor.name for part in self.parts))

    @property
    def is_most(self) -> bool:
        """Whether most elements of matrices are left."""
        if not self.parts:
            return False
        left = _elements(part for part in self.parts if len(part.tensor.shape) >= _MATRIX)
        return 2 * left > _elements(TensorPart(weight) for weight in self.weights if len(weight.shape) >= _MATRIX)

    @property
    def percent(self) -> str:
        """The share of elements that are left."""
        share = 100 * _elements(self.parts) / max(1, _elements(map(TensorPart, self.weights)))
        if share < 1:
            return "less than 1%"
        return f"{share:.0f}%" if share < 99 or len(self.parts) == len(self.weights) else "more than 99%"

    def __str__(self) -> str:
        """A clause with all of it: how many, how much, and which."""
        parts = [name for name in self.names if name in self.quantized]
        plain = [shown(name) for name in self.names if name not in self.quantized]
        kind = "floating-point and quantized tensors" if self.quantized else "floating-point tensors"
        clause = f"leaves {len(self.names)} of {len(self.weights)} {kind} ({self.percent} of the elements) as they are"
        which = [listed(plain)] if plain else []
        if parts:
            which.append(f"{by_weight(parts, self.quantized)}: {make_up(parts, self.quantized)}")
        return f"{clause}: {'; and '.join(which)}"


def partial_preset(
    left: Left, preset: FromPreset, config: Mapping[str, Any] | None, *, refused: bool
) -> Iterator[Problem]:
    """What is wrong with a preset whose rules, with all that come after them, leave some of the weights undecided."""
    if not left.parts:
        return
    last = "or pass --allow-partial" if refused else "or pass --require-all to refuse this"
    hints = ", ".join([*_ways_out(left, preset, config), last])
    yield Problem("preset.partial", f"{shown(preset.source)}: {left}", hints)


def _ways_out(left: Left, preset: FromPreset, config: Mapping[str, Any] | None) -> Iterator[str]:
    parts = [name for name in left.names if name in left.quantized]
    if parts:
        yield DEQUANTIZE
    if len(parts) < len(left.names):
        if left.is_most:
            yield f"choose a preset for this model ({_better(left, preset, config)})"
        yield "add rules for the rest"


def idle_preset(preset: FromPreset, checkpoint: Checkpoint) -> Problem:
    """What is wrong with a preset that fills nothing."""
    message = f"preset {preset.name}: fills no tensor of {shown(checkpoint.path)}"
    return Problem("preset.unused", message, "its names are another family's, or later rules decide them all")


def _is_learned(tensor: TensorSpec) -> bool:
    return tensor.dtype.is_floating and computed_kind(tensor) is None


def _elements(parts: Iterable[TensorPart]) -> int:
    """Those of tied tensors count once."""
    return sum(part.numel for part in parts if part.tensor.is_first)


def _better(left: Left, preset: FromPreset, config: Mapping[str, Any] | None) -> str:
    """The preset for config.json's model type; else those made for such names: whose rules match nearly all weights."""
    from initctl.recipes import better_preset, presets

    if preset.name and (found := better_preset(preset.name, config)):
        return found.name
    names = [weight.name for weight in left.weights if weight.name not in left.quantized][:_COMPARED]
    scores = {name: score for name in presets() if (score := _score(name, names)) and name != preset.name}
    best = sorted(scores, key=lambda name: scores[name], reverse=True)
    return f"by its names: {listed(best)}" if best else "`initctl presets` lists them"


def _score(preset: str, names: Sequence[str]) -> float:
    """How well a preset fits `names`: by the share of its rules that match one; 0 unless nearly all names are matched.

    One whose rules match any name at all is made for no names, and so for none of these.
    """
    from initctl.recipes.reading import read_preset

    selectors = [rule.selector.names for rule in read_preset(preset).rules]
    matching = [{number for number, glob in enumerate(selectors) if glob.matches(name)} for name in (_NOBODYS, *names)]
    matched = sum(map(bool, matching[1:]))
    return 0 if matching[0] or matched <= _FITTING * len(names) else len(set().union(*matching)) / len(selectors)
