"""Which rule decides which tensor, or which of its rows: the last one that covers them and may touch the tensor."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from initctl.formats.optimizers.masters import of_optimizers
from initctl.initializers import Unfit
from initctl.planning.action import Action, Kept
from initctl.planning.claims import Claim, Coverage, holds, may_touch, rows_of
from initctl.planning.fits import action_of
from initctl.planning.likeness import Likeness
from initctl.planning.lookup import SIBLING, Lookup
from initctl.planning.quantization.config import method_named_in
from initctl.planning.quantization.weights import quantized_weights
from initctl.planning.unfits import Unfits

if TYPE_CHECKING:
    from collections.abc import Container, Hashable, Iterator, Mapping, Sequence

    from initctl.errors import Problem
    from initctl.formats import Checkpoint
    from initctl.initializers import BoundCall
    from initctl.planning.bound_rule import BoundRule
    from initctl.planning.quantization.weights import QuantizedWeight
    from initctl.planning.surroundings import Surroundings
    from initctl.rules import Rule
    from initctl.tensors import RowRange, TensorSpec

    Segments = Sequence[tuple[RowRange, BoundRule | None]]
    """All rows of a tensor in order, and the rule that decides them, if any does."""


class Decided(NamedTuple):
    """What rules do to a checkpoint: `actions`, and `kept` for the rest, in the order of its table; what each rule
    covers; a problem for each rule that does not fit; and the quantized weight that each tensor is a part of, by name.
    """

    actions: list[Action]
    kept: list[Kept]
    coverages: tuple[Coverage, ...]
    faults: list[Problem]
    quantized: Mapping[str, QuantizedWeight]


class _Verdict(NamedTuple):
    """What becomes of a tensor, and of all that are alike: `lists` of a coverage note each of them. `unasked` are rules
    that cannot be asked about it, and `unfit` those that decide it and do not fit.
    """

    actions: Sequence[Action]
    kept: Sequence[Kept]
    lists: Sequence[list[TensorSpec]]
    unasked: Sequence[tuple[Coverage, Unfit]]
    unfit: Sequence[tuple[Rule, Unfit]]


def decide(rules: Sequence[BoundRule], around: Surroundings) -> Decided:
    """The rule that decides each tensor, or each of its rows, if any does; tensors that are alike are decided once."""
    tensors = around.checkpoint.tensors
    coverages = tuple(Coverage(bound.rule) for bound in rules)
    quantized = quantized_weights(tensors, partial(method_named_in, around.checkpoint.home))
    judge = _Judge(rules, coverages, around, quantized.keys() | _of_optimizers(around.checkpoint))
    actions: list[Action] = []
    kept: list[Kept] = []
    unfit: list[tuple[Rule, TensorSpec, Unfit]] = []
    for tensor in tensors:
        verdict = judge.verdict(tensor)
        actions += [action.of(tensor) for action in verdict.actions]
        kept += [left.of(tensor) for left in verdict.kept]
        for noted in verdict.lists:
            noted.append(tensor)
        for coverage, fact in verdict.unasked:
            coverage.unfit.append((tensor, fact))
        unfit += [(rule, tensor, fact) for rule, fact in verdict.unfit]
    return Decided(actions, kept, coverages, _faults(coverages, unfit, actions), quantized)


def _of_optimizers(checkpoint: Checkpoint) -> frozenset[str]:
    """The names of tensors that an explicit root takes in though they are an optimizer's."""
    root = f"{checkpoint.root}." if checkpoint.root else ""
    names = of_optimizers(checkpoint.optimizers, checkpoint.masters)
    return frozenset(name.removeprefix(root) for name in names)


def _faults(
    coverages: Sequence[Coverage], unfit: Sequence[tuple[Rule, TensorSpec, Unfit]], actions: Sequence[Action]
) -> list[Problem]:
    """A problem for each rule that does not fit all that it covers."""
    unfits = Unfits()
    for coverage in coverages:
        for tensor, fact in coverage.unfit:
            unfits.add(coverage.rule, tensor, fact, str(fact))
    for rule, tensor, fact in unfit:
        unfits.add(rule, tensor, fact, f"{rule.call.name} does not fit: {fact}")
    return unfits.problems(actions)


class _Judge:
    """Decides one tensor after another, those that are alike once. Names that are `closed` are not for patterns."""

    def __init__(
        self,
        rules: Sequence[BoundRule],
        coverages: Sequence[Coverage],
        around: Surroundings,
        closed: Container[str],
    ) -> None:
        self._rules = tuple(zip(rules, coverages, strict=True))
        self._around = around
        self._closed = closed
        self._likeness = Likeness(rules, around, closed)
        self._names_siblings = any(name.startswith(SIBLING) for bound in rules for name in bound.asks_of_name)
        self._verdicts: dict[Hashable, _Verdict] = {}

    def verdict(self, tensor: TensorSpec) -> _Verdict:
        """What becomes of `tensor`. What a rule loses to others, its coverage notes at once."""
        key = self._likeness.of(tensor)
        if (found := self._verdicts.get(key)) is None:
            found = self._first_verdict(tensor)
            if not (self._names_siblings and (found.unasked or found.unfit)):  # a fault may name a tensor's sibling
                self._verdicts[key] = found
        return found

    def _first_verdict(self, tensor: TensorSpec) -> _Verdict:
        claims: list[Claim] = []
        lists: list[list[TensorSpec]] = []
        unasked: list[tuple[Coverage, Unfit]] = []
        for bound, coverage in self._rules:
            if not self._around.match(bound.rule.selector.names, tensor.name):
                continue
            try:
                if not holds(bound, tensor, self._around):
                    lists.append(coverage.left_out)
                elif not may_touch(bound, tensor, self._closed):
                    lists.append(coverage.left_alone)
                else:
                    claims.append(Claim(bound, coverage, rows_of(bound, tensor, self._around)))
            except Unfit as fact:
                unasked.append((coverage, fact))
        segments = _segments(tensor, claims)
        lists += _noting(tensor, claims, segments)
        actions, kept, unfit = self._carried_out(tensor, segments)
        return _Verdict(actions, kept, lists, unasked, unfit)

    def _carried_out(
        self, tensor: TensorSpec, segments: Segments
    ) -> tuple[list[Action], list[Kept], list[tuple[Rule, Unfit]]]:
        """An action for each of the `segments` that a rule fills and fits, and what is kept."""
        actions: list[Action] = []
        kept: list[Kept] = []
        unfit: list[tuple[Rule, Unfit]] = []
        for span, bound in segments:
            rows = None if span == tensor.all_rows else span
            if bound is None or bound.initializer is None:
                kept.append(Kept(tensor, bound.rule if bound else None, rows))
                continue
            try:
                call = _evaluated(bound, bound.initializer, tensor, self._around)
                actions.append(action_of(bound.rule, call, tensor, rows, self._around))
            except Unfit as fact:
                unfit.append((bound.rule, fact))
        return actions, kept, unfit


def _evaluated(bound: BoundRule, call: BoundCall, tensor: TensorSpec, around: Surroundings) -> BoundCall:
    """The call of a rule with the values that its expressions have for `tensor`. Raises `Unfit`."""
    return call.evaluated(Lookup(bound.rule, tensor, around, bound.arrangement)) if call.expressions else call


def _segments(tensor: TensorSpec, claims: Sequence[Claim]) -> Segments:
    """The rows of `tensor`, each decided by the last rule that claims it."""
    segments: Segments = [(tensor.all_rows, None)]
    for claim in claims:
        start, stop = claim.rows
        before = [((s, min(e, start)), bound) for (s, e), bound in segments if s < start]
        after = [((max(s, stop), e), bound) for (s, e), bound in segments if e > stop]
        segments = [*before, (claim.rows, claim.bound), *after]
    return segments


def _noting(tensor: TensorSpec, claims: Sequence[Claim], segments: Segments) -> Iterator[list[TensorSpec]]:
    """For each of the `claims`, where its coverage notes what it got or lost; to whom, it notes at once."""
    deciding = [bound for _, bound in segments]
    for bound, coverage, rows in claims:
        if any(decision is bound for decision in deciding):
            yield coverage.decided
            continue
        yield coverage.lost
        for span, later in segments:
            is_shared = rows == tensor.all_rows or max(span[0], rows[0]) < min(span[1], rows[1])
            if later and is_shared and later.rule not in coverage.lost_to:
                coverage.lost_to.append(later.rule)
