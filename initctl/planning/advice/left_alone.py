"""Tensors that are not filled: patterns with wildcards skip them (parts of quantized weights, integers, and tensors
that models compute), or no rule decides them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from initctl.errors import Problem, listed, shown
from initctl.planning.advice.quantized_names import by_weight, make_up
from initctl.planning.computed import computed_kind

if TYPE_CHECKING:
    from initctl.planning.claims import Coverage
    from initctl.planning.deciding import Decided
    from initctl.planning.surroundings import Surroundings
    from initctl.tensors import TensorSpec

_BY_FULL_NAME = "name a tensor in full to fill it"
DEQUANTIZE = "dequantize the model first"
_LEFT_ALONE = "a pattern with wildcards does not fill integer, bool, quantized and other special tensors"


class LeftAlone(NamedTuple):
    """Tensors that patterns skip for one reason; `why` follows their names in the message."""

    tensors: Sequence[TensorSpec]
    names: str
    why: str
    hint: str


def left_alone(decided: Decided, around: Surroundings) -> Iterator[Problem]:
    """A warning for each rule and reason, if its pattern matches tensors that it may not fill and no rule decides."""
    coverages = [coverage for coverage in decided.coverages if coverage.left_alone and coverage.decided]
    undecided = decided.undecided if coverages else {}
    for coverage in coverages:
        tensors = [tensor for tensor in coverage.left_alone if tensor.name in undecided]
        for left in _by_reason(tensors, around):
            yield coverage.rule.problem("rule.left_alone", f"does not fill {left.names}{left.why}", left.hint)


def only_left_alone(coverage: Coverage, around: Surroundings) -> Problem:
    """The problem of a rule whose pattern may fill none of the tensors that it matches."""
    reasons = list(_by_reason(coverage.left_alone, around))
    matched = " and ".join(left.names + left.why for left in reasons)
    it_matches = "under its condition it matches" if coverage.left_out else "it matches"
    hints = [left.hint for left in reasons]
    if all(tensor.unwritable for tensor in coverage.left_alone):
        hints = ["no rule can fill these"]
    elif not any(_BY_FULL_NAME in hint for hint in hints):
        hints.append("name one in full to fill it")
    return coverage.rule.problem("rule.unused", f"has no effect: {it_matches} only {matched}", "; ".join(hints))


def undecided_weights(decided: Decided, around: Surroundings) -> Iterator[Problem]:
    """A problem if no rule decides a floating-point tensor, a part of a quantized weight, or some rows of one. Those
    with another fault are left out.
    """
    quantized, faulty = around.quantized, decided.faulty
    undecided = {
        kept.tensor.name: kept.tensor
        for kept in decided.kept
        if kept.rule is None and kept.tensor.name not in faulty and not (kept.tensor.old and kept.part.blank_rows)
    }
    if plain := [tensor for name, tensor in undecided.items() if name not in quantized and is_learned(tensor)]:
        message = f"no rule decides {with_kinds(plain)}"
        yield Problem("tensor.undecided", message, "add a rule for each; NAME=keep leaves a tensor unchanged")
    if parts := [name for name in undecided if name in quantized]:
        message = f"no rule decides {by_weight(parts, quantized)}: {make_up(parts, quantized)}"
        yield Problem("tensor.undecided", message, f"{DEQUANTIZE}, or add a rule that keeps them")


def _by_reason(tensors: Sequence[TensorSpec], around: Surroundings) -> Iterator[LeftAlone]:
    plain = [tensor for tensor in tensors if tensor.name not in around.quantized]
    computed = [tensor for tensor in plain if computed_kind(tensor)]
    if parts := [tensor for tensor in tensors if tensor.name in around.quantized]:
        names = [tensor.name for tensor in parts]
        why = f": {make_up(names, around.quantized)}"
        yield LeftAlone(parts, by_weight(names, around.quantized), why, f"{DEQUANTIZE}, or {_BY_FULL_NAME}")
    if computed:
        names = [f"{shown(tensor.name)} ({computed_kind(tensor)})" for tensor in computed]
        yield LeftAlone(computed, listed(names), ": the model computes this and does not learn it", _BY_FULL_NAME)
    if others := [tensor for tensor in plain if not computed_kind(tensor)]:
        yield LeftAlone(others, with_kinds(others), "", _LEFT_ALONE)


def is_learned(tensor: TensorSpec) -> bool:
    """Whether `tensor` holds floating-point numbers that the model does not compute."""
    return tensor.dtype.is_floating and computed_kind(tensor) is None


def with_kinds(tensors: Sequence[TensorSpec]) -> str:
    """Their names, each with its dtype, or with the reason why no rule can fill it."""
    return listed([f"{shown(tensor.name)} ({tensor.unwritable or tensor.dtype.name})" for tensor in tensors])
