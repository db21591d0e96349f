"""Which rule decides which tensor, or which of its rows: the last one that covers them and may touch the tensor."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from initctl.initializers import Unfit
from initctl.planning.action import Action, Kept
from initctl.planning.averaged_rows import check_averaged_rows
from initctl.planning.bound_rule import BoundRule, bind
from initctl.planning.claims import Claim, Coverage, holds, may_touch, rows_of
from initctl.planning.fits import Unfits, action_of
from initctl.planning.likeness import Likeness
from initctl.planning.lookup import SIBLING, Lookup
from initctl.rules import Candidates

if TYPE_CHECKING:
    from initctl.errors import Problem
    from initctl.planning.surroundings import Surroundings
    from initctl.rules import Rule
    from initctl.tensors import RowRange, TensorSpec

    Segments = Sequence[tuple[RowRange, Claim | None]]
    """All rows of a tensor in order, and the claim that decides them, if any does."""


class Decided(NamedTuple):
    """The decisions of rules about a checkpoint: `actions`, and `kept` for the rest, in the checkpoint's order; what
    each rule covers; and a problem for each rule that does not fit.
    """

    actions: list[Action]
    kept: list[Kept]
    coverages: Sequence[Coverage]
    faults: list[Problem]

    @property
    def undecided(self) -> dict[str, TensorSpec]:
        """The tensors that no rule decides, at least in part, by their names."""
        return {kept.tensor.name: kept.tensor for kept in self.kept if kept.rule is None}

    @property
    def faulty(self) -> set[str]:
        """The names of tensors that are not only undecided: a rule does not fit, or fills only a tensor tied to it."""
        unfit = {tensor.name for coverage in self.coverages for tensor in coverage.unfit}
        filled = {action.tensor.name for action in self.actions}
        return unfit | {name for action in self.actions for name in action.tensor.tied if name not in filled}


class _Verdict(NamedTuple):
    """The decision for a tensor and for all tensors that look the same.

    `collectors` are lists of coverages and of faults; each such tensor is appended to all of them.
    """

    actions: Sequence[Action]
    kept: Sequence[Kept]
    collectors: Sequence[list[TensorSpec]]
    has_faults: bool


def decide(rules: Sequence[BoundRule], around: Surroundings) -> Decided:
    """The rule that decides each tensor, or each of its rows, if any does; tensors that are alike are decided once."""
    judge = _Judge(rules, around)
    actions: list[Action] = []
    kept: list[Kept] = []
    for tensor in around.checkpoint.tensors:
        verdict = judge.verdict(tensor)
        actions += [action.of(tensor) for action in verdict.actions]
        kept += [left.of(tensor) for left in verdict.kept]
        for collector in verdict.collectors:
            collector.append(tensor)
    return Decided(actions, kept, judge.coverages, judge.unfits.problems(actions))


def misfit(rule: Rule, tensor: TensorSpec, around: Surroundings) -> str | None:
    """Why the initializer of `rule` does not fit `tensor`; None if it does, or keeps it. Raises `RuleError`."""
    bound = bind(rule)
    try:
        if bound.initializer:
            call = bound.initializer.evaluated(Lookup(rule, tensor, around, bound.arrangement))
            action_of(rule, call, tensor, None, around)
    except Unfit as fact:
        return _fault(rule, fact)
    return None


def _fault(rule: Rule, fact: Unfit) -> str:
    """What is at fault, an expression or the initializer, and why."""
    return str(fact) if fact.excerpt else f"{rule.call.name} does not fit: {fact}"


class _Judge:
    """Decides one tensor after another; tensors that look the same are decided once."""

    def __init__(self, rules: Sequence[BoundRule], around: Surroundings) -> None:
        self.coverages = tuple(map(Coverage, rules))
        self.unfits = Unfits()
        self._around = around
        self._likeness = Likeness(rules, around)
        self._candidates = Candidates([bound.rule.selector.names for bound in rules])
        self._names_siblings = any(name.startswith(SIBLING) for bound in rules for name in bound.name_dependent_names)
        self._verdicts: dict[Hashable, _Verdict] = {}

    def verdict(self, tensor: TensorSpec) -> _Verdict:
        """The decision for `tensor`. Also records at once which rules a rule lost to."""
        key = self._likeness.of(tensor)
        if (found := self._verdicts.get(key)) is None:
            found = self._first_verdict(tensor)
            if not (self._names_siblings and found.has_faults):  # a fault may name a tensor's sibling
                self._verdicts[key] = found
        return found

    def _first_verdict(self, tensor: TensorSpec) -> _Verdict:
        claims: list[Claim] = []
        lists: list[list[TensorSpec]] = []
        faults: list[list[TensorSpec]] = []
        for at in self._candidates.of(tensor.name):
            coverage = self.coverages[at]
            names = coverage.rule.selector.names
            if not names.matches(tensor.name, self._around.numbers_for(names)):
                continue
            try:
                found = self._claim(coverage, tensor)
            except Unfit as fact:
                faults += coverage.unfit, self.unfits.tensors_with(coverage.rule, fact, str(fact))
                continue
            if isinstance(found, Claim):
                claims.append(found)
            else:
                lists.append(found)
        segments = _segments(tensor, claims)
        lists += _noting(tensor, claims, segments)
        actions, kept = self._carried_out(tensor, segments, faults)
        return _Verdict(actions, kept, [*lists, *faults], bool(faults))

    def _claim(self, coverage: Coverage, tensor: TensorSpec) -> Claim | list[TensorSpec]:
        """The claim of a rule that matches `tensor`, or else the coverage's list that the tensor belongs in. Raises
        `Unfit`.
        """
        bound, rule = coverage.bound, coverage.rule
        lookup = Lookup(rule, tensor, self._around, bound.arrangement)
        if rule.where and not holds(rule.where, lookup):
            return coverage.left_out
        if not may_touch(bound, tensor, self._around):
            return coverage.left_alone
        rows = rows_of(rule.selector.rows, lookup) if rule.selector.rows else tensor.all_rows
        if rows[0] == rows[1] != 0:
            return coverage.idle
        return Claim(rows, coverage, lookup)

    def _carried_out(
        self, tensor: TensorSpec, segments: Segments, faults: list[list[TensorSpec]]
    ) -> tuple[list[Action], list[Kept]]:
        """Actions for `segments`, and what is kept; lists that collect misfits are added to `faults`."""
        actions: list[Action] = []
        kept: list[Kept] = []
        for span, claim in segments:
            rows = None if span == tensor.all_rows else span
            if claim is None or claim.coverage.bound.initializer is None:
                kept.append(Kept(tensor, claim and claim.coverage.rule, rows))
                continue
            rule = claim.coverage.rule
            try:
                call = claim.coverage.bound.initializer.evaluated(claim.lookup)
                action = action_of(rule, call, tensor, rows, self._around)
                check_averaged_rows(action, claim.rows)
                actions.append(action)
            except Unfit as fact:
                faults.append(self.unfits.tensors_with(rule, fact, _fault(rule, fact)))
        return actions, kept


def _segments(tensor: TensorSpec, claims: Sequence[Claim]) -> Segments:
    """The rows of `tensor`, each decided by the last rule that claims it."""
    segments: Segments = [(tensor.all_rows, None)]
    for claim in claims:
        start, stop = claim.rows
        before = [((s, min(e, start)), earlier) for (s, e), earlier in segments if s < start]
        after = [((max(s, stop), e), earlier) for (s, e), earlier in segments if e > stop]
        segments = [*before, (claim.rows, claim), *after]
    return segments


def _noting(tensor: TensorSpec, claims: Sequence[Claim], segments: Segments) -> Iterator[list[TensorSpec]]:
    """For each claim, the coverage's list that the tensor belongs in; updates `lost_to`."""
    for claim in claims:
        rows, coverage, _ = claim
        if any(decision is claim for _, decision in segments):
            yield coverage.decided
            continue
        yield coverage.lost
        for span, later in segments:
            is_shared = rows == tensor.all_rows or max(span[0], rows[0]) < min(span[1], rows[1])
            if later and is_shared and later.coverage.rule not in coverage.lost_to:
                coverage.lost_to.append(later.coverage.rule)
