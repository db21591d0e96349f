"""Rules that decide nothing, or only tensors without elements, or no rows of some tensors; and alternatives of a
pattern that match nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from initctl.errors import Problem, escape, listed, shown
from initctl.formats.optimizers.masters import of_optimizers
from initctl.formats.parts.placeholders import placeholders, where_they_are, without_elements
from initctl.initializers import KEEP
from initctl.planning.advice.left_alone import only_left_alone
from initctl.planning.lookup import SHAPE_FACTS
from initctl.planning.near_misses import hint_for
from initctl.rules import quoted

if TYPE_CHECKING:
    from initctl.formats import Checkpoint
    from initctl.planning.claims import Coverage
    from initctl.planning.deciding import Decided
    from initctl.planning.surroundings import Surroundings
    from initctl.rules import Expression
    from initctl.tensors import TensorSpec

_UNUSED = "rule.unused"
NO_MATCH = "matches no tensor"
"""How the message about a rule ends whose pattern matches nothing."""


def unused_rules(decided: Decided, around: Surroundings) -> Iterator[Problem]:
    for coverage in decided.coverages:
        if not (coverage.decided or coverage.idle or coverage.unfit or coverage.rule.optional):
            yield _unused(coverage, around) if coverage.matched else _unmatched(coverage, around)


def _unused(coverage: Coverage, around: Surroundings) -> Problem:
    """The problem of a rule that matches tensors but decides none of them."""
    rule = coverage.rule
    if coverage.lost:
        later = listed(list(map(str, coverage.lost_to)))
        under = " under its condition" if coverage.left_out else ""
        override, them = ("override", "them") if len(coverage.lost_to) > 1 else ("overrides", "it")
        fault = f"has no effect: {later} {override} all its matches{under}"
        return rule.problem("rule.overridden", fault, f"move this rule after {them}, or delete it")
    if rule.where and not coverage.left_alone:
        left_out = _with_values(rule.where, coverage.left_out)
        fault = f"has no effect: its condition holds for none of its matches: {left_out}"
        return rule.problem(_UNUSED, fault, f"change the condition: {shown(rule.where.text)}")
    return only_left_alone(coverage, around)


def _with_values(condition: Expression, tensors: Sequence[TensorSpec]) -> str:
    """The names of `tensors`, each with its shape and its dtype, if the condition depends on them."""
    has_shape = not condition.names.isdisjoint(SHAPE_FACTS.keys() - {"dtype"})
    return listed(
        [
            shown(tensor.name)
            + (f" {list(tensor.shape)}" if has_shape else "")
            + (f" ({tensor.dtype.name})" if "dtype" in condition.names else "")
            for tensor in tensors
        ]
    )


def _unmatched(coverage: Coverage, around: Surroundings) -> Problem:
    rule, checkpoint = coverage.rule, around.checkpoint
    fault, matches = NO_MATCH, rule.selector.names.matches
    for tensor in checkpoint.tensors:
        if alias := next(filter(matches, tensor.aliases), None):
            kept = f"{shown(alias)} is tied to {shown(tensor.name)}, which the file holds instead"
            return rule.problem(_UNUSED, f"{fault}: {kept}", f"write '{escape(quoted(tensor.name))}'")
    outside = next((tensor.name for tensor in checkpoint.outside if matches(tensor.name)), None)
    if outside is not None:
        at = f" at {shown(checkpoint.root)}" if checkpoint.root else ""
        return rule.problem(_UNUSED, f"{fault} of the state dict{at}", _outside(outside, checkpoint))
    if tie := next((tie for tie in around.ties if matches(tie.left_out)), None):
        is_tied, instead = f"{shown(tie.left_out)} is tied to {shown(tie.kept)}", f"write '{escape(quoted(tie.kept))}'"
        if tie.sure:
            return rule.problem(_UNUSED, f"{fault}: {is_tied}, which the file holds instead", instead)
        return rule.problem(_UNUSED, fault, f"if {is_tied}, {instead}")
    return rule.problem(_UNUSED, fault, hint_for(rule.selector.names.pattern, list(around.tensors)))


def _outside(name: str, checkpoint: Checkpoint) -> str:
    """A hint for a rule that matches the tensor `name`, which is not in the state dict."""
    if name in of_optimizers(checkpoint.optimizers, checkpoint.masters):
        why = "belongs to an optimizer; --reset-optimizer resets the state of filled tensors"
        return f"{shown(name)} {why}; to fill it by its full name, add --root ''"
    return f"{shown(name)} is outside of it; add --root '' to reach all tensors"


def hollow_rules(decided: Decided, around: Surroundings) -> Iterator[Problem]:
    """A problem for each rule that fills only tensors without elements, or for all rules together.

    Nobody wants to fill a placeholder, or any tensor if none has elements. But a model may have an empty tensor, and a
    rule may fill it.
    """
    checkpoint, tensors = around.checkpoint, around.checkpoint.tensors
    hollow = set(map(id, placeholders(checkpoint) if any(tensor.numel for tensor in tensors) else tensors))
    if not hollow:
        return
    rules = [c for c in decided.coverages if not c.rule.optional and c.rule.call.name != KEEP]
    by_rule = [(coverage.rule.problem, "has no effect", coverage.decided) for coverage in rules]
    together = [(Problem, "the rules fill nothing", [action.tensor for action in decided.actions])]
    for found in (by_rule, together):
        if faults := [fault for fault in found if fault[2] and hollow.issuperset(map(id, fault[2]))]:
            where = where_they_are(checkpoint)
            for problem, fault, filled in faults:
                yield problem(_UNUSED, f"{fault}: {without_elements(filled)}", where)
            return


def idle_rows(decided: Decided, _: Surroundings) -> Iterator[Problem]:
    """A warning for each rule for new rows, if tensors get none: they have the number that was asked for."""
    for coverage in decided.coverages:
        if coverage.idle and not coverage.rule.optional:
            names = listed([f"{shown(tensor.name)} ({tensor.shape[0]} rows)" for tensor in coverage.idle])
            yield coverage.rule.problem("rows.none", f"selects no rows of {names}")


def idle_alternatives(decided: Decided, around: Surroundings) -> Iterator[Problem]:
    """A warning for each alternative in a pattern's braces that matches nothing."""
    aliases = [alias for tensor in around.checkpoint.tensors for alias in tensor.aliases]
    for coverage in decided.coverages:
        pattern = coverage.rule.selector.names
        if coverage.rule.optional or "{" not in pattern.pattern or not (matched := coverage.matched):
            continue
        names, highest = [*(tensor.name for tensor in matched), *aliases], around.numbers_for(pattern)
        idle = pattern.idle_alternatives(names, highest)
        if idle and (tied := [tie.left_out for tie in around.ties if tie.sure]):
            idle = pattern.idle_alternatives([*names, *tied], highest)
        yield from (coverage.rule.problem("rule.alternative", f"{shown(text)} matches no tensor") for text in idle)
