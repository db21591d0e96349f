"""Tensors that stay as they are: patterns with wildcards leave them (parts of quantized weights, what models compute,
integers), or no rule decides them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from initctl.errors import Problem, listed, shown
from initctl.planning.advice.naming import by_weight, make_up, with_kinds
from initctl.planning.computed import computed_kind

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from initctl.planning.claims import Coverage
    from initctl.planning.deciding import Decided
    from initctl.planning.quantization.weights import QuantizedWeight
    from initctl.tensors import TensorSpec

_CODE = "rule.left_alone"
_BY_FULL_NAME = "name a tensor in full to fill it"
DEQUANTIZE = "dequantize the model first"
_LEFT_ALONE = "a pattern with wildcards leaves integer, bool, quantized and other special tensors as they are"


class LeftAlone(NamedTuple):
    """Tensors that patterns leave, those of one reason together; `why` goes on behind their names."""

    tensors: Sequence[TensorSpec]
    names: str
    why: str
    hint: str


def left_alone(decided: Decided) -> Iterator[Problem]:
    """A warning for each rule, and each reason, whose pattern reaches tensors that it may not touch and that stay."""
    coverages = [coverage for coverage in decided.coverages if coverage.left_alone and coverage.decided]
    undecided = {kept.tensor.name for kept in decided.kept if kept.rule is None} if coverages else ()
    for coverage in coverages:
        tensors = [tensor for tensor in coverage.left_alone if tensor.name in undecided]
        for left in by_reason(tensors, decided.quantized):
            they = "they are" if len(left.tensors) > 1 else "it is"
            yield Problem(_CODE, f"{coverage.rule}: leaves {left.names} as {they}{left.why}", left.hint)


def only_left_alone(coverage: Coverage, quantized: Mapping[str, QuantizedWeight]) -> Problem:
    """What is wrong with a rule that matches only tensors that a pattern may not touch."""
    reasons = list(by_reason(coverage.left_alone, quantized))
    matched = " and ".join(left.names + left.why for left in reasons)
    hints = [left.hint for left in reasons]
    if all(tensor.unwritable for tensor in coverage.left_alone):
        hints = ["no rule can fill these"]
    elif not any(_BY_FULL_NAME in hint for hint in hints):
        hints.append("name one in full to fill it")
    return Problem("rule.unused", f"{coverage.rule}: decides nothing: it matches only {matched}", "; ".join(hints))


def undecided_weights(decided: Decided) -> Iterator[Problem]:
    """What is wrong if no rule decides a floating-point tensor, a part of a quantized weight, or some rows of one."""
    quantized = decided.quantized
    undecided = {kept.tensor.name: kept.tensor for kept in decided.kept if kept.rule is None}
    plain = [t for t in undecided.values() if t.dtype.is_floating and t.name not in quantized and not computed_kind(t)]
    if plain:
        message = f"no rule decides {with_kinds(plain)}"
        yield Problem("tensor.undecided", message, "add a rule for each; keep leaves a tensor as it is")
    if parts := [name for name in undecided if name in quantized]:
        message = f"no rule decides {by_weight(parts, quantized)}: {make_up(parts, quantized)}"
        yield Problem("tensor.undecided", message, f"{DEQUANTIZE}, or add a rule that keeps them")


def by_reason(tensors: Iterable[TensorSpec], quantized: Mapping[str, QuantizedWeight]) -> Iterator[LeftAlone]:
    """`tensors` by the reasons why patterns leave them."""
    parts: list[TensorSpec] = []
    computed: list[TensorSpec] = []
    others: list[TensorSpec] = []
    for tensor in tensors:
        reason = parts if tensor.name in quantized else computed if computed_kind(tensor) else others
        reason.append(tensor)
    if parts:
        names = [tensor.name for tensor in parts]
        why = f": {make_up(names, quantized)}"
        yield LeftAlone(parts, by_weight(names, quantized), why, f"{DEQUANTIZE}, or {_BY_FULL_NAME}")
    if computed:
        yield LeftAlone(
            computed, _with_words(computed), ": the model computes this and does not learn it", _BY_FULL_NAME
        )
    if others:
        yield LeftAlone(others, with_kinds(others), "", _LEFT_ALONE)


def _with_words(tensors: Sequence[TensorSpec]) -> str:
    """Their names, each with what it is."""
    return listed([f"{shown(tensor.name)} ({computed_kind(tensor)})" for tensor in tensors])
