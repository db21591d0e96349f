"""Rules that decide nothing, and alternatives by which a pattern matches nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from initctl.errors import Problem, escape, listed, shown
from initctl.formats.optimizers.masters import of_optimizers
from initctl.planning.advice.left_alone import only_left_alone
from initctl.planning.advice.naming import with_kinds
from initctl.planning.advice.tied import Ties, left_out_names
from initctl.planning.near_misses import hint_for
from initctl.rules import quoted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from initctl.formats import Checkpoint
    from initctl.planning.advice.tied import Tie
    from initctl.planning.claims import Coverage
    from initctl.planning.deciding import Decided
    from initctl.planning.quantization.weights import QuantizedWeight
    from initctl.planning.surroundings import Surroundings


def unused_rules(decided: Decided, checkpoint: Checkpoint) -> list[Problem]:
    """What is wrong with each rule that decides no tensor."""
    ties, quantized = Ties(checkpoint), decided.quantized
    return [found for coverage in decided.coverages if (found := _unused(coverage, checkpoint, quantized, ties))]


def _unused(
    coverage: Coverage, checkpoint: Checkpoint, quantized: Mapping[str, QuantizedWeight], ties: Ties
) -> Problem | None:
    """What is wrong with a rule that decides no tensor."""
    rule = coverage.rule
    if coverage.decided or coverage.unfit or rule.optional:
        return None
    matches = rule.selector.names.matches
    if coverage.lost:
        later = listed(list(map(str, coverage.lost_to)))
        message = f"{rule}: decides nothing: all that it matches is decided by later rules: {later}"
        return Problem("rule.overridden", message, "the last rule wins: remove it, or move it after them")
    if coverage.left_alone:
        return only_left_alone(coverage, quantized)
    if coverage.left_out and rule.where:
        message = f"{rule}: decides nothing: it matches {with_kinds(coverage.left_out)}"
        return Problem("rule.unused", message, f"its condition holds for none of them: {shown(rule.where.text)}")
    for tensor in checkpoint.tensors:
        if alias := next(filter(matches, tensor.aliases), None):
            message = f"{rule}: matches no tensor: {shown(alias)} is kept as {shown(tensor.name)}, which it is tied to"
            return Problem("rule.unused", message, f"write '{escape(quoted(tensor.name))}'")
    outside = [tensor.name for tensor in checkpoint.outside if matches(tensor.name)]
    if outside:
        at = f" at {shown(checkpoint.root)}" if checkpoint.root else ""
        message = f"{rule}: matches no tensor of the state dict{at}"
        return Problem("rule.unused", message, _outside(outside[0], checkpoint))
    if tie := ties.of(rule.selector):
        return _tied(coverage, tie)
    hint = hint_for(rule.selector.names.pattern, [tensor.name for tensor in checkpoint.tensors])
    return Problem("rule.unused", f"{rule}: matches no tensor", hint)


def _tied(coverage: Coverage, tie: Tie) -> Problem:
    """What is wrong with a rule for a tensor that its model has, and its file does not."""
    kept = f"write '{escape(quoted(tie.kept))}'"
    if tie.sure:
        fault = f"{shown(tie.left_out)} is tied to {shown(tie.kept)}, which is kept in its place"
        return Problem("rule.unused", f"{coverage.rule}: matches no tensor: {fault}", kept)
    hint = f"if {shown(tie.left_out)} is tied to {shown(tie.kept)}, {kept}"
    return Problem("rule.unused", f"{coverage.rule}: matches no tensor", hint)


def _outside(name: str, checkpoint: Checkpoint) -> str:
    """What to do about a rule that matches the tensor `name`, which is not in the state dict."""
    if name in of_optimizers(checkpoint.optimizers, checkpoint.masters):
        why = "belongs to an optimizer: --reset-optimizer resets what belongs to filled tensors"
        return f"{shown(name)} {why}; to fill it by its full name, add --root ''"
    return f"{shown(name)} is outside of it: --root '' takes all"


def idle_alternatives(decided: Decided, around: Surroundings) -> Iterator[Problem]:
    """A warning for each alternative in a pattern's braces by which it matches nothing."""
    aliases = [alias for tensor in around.checkpoint.tensors for alias in tensor.aliases]
    for coverage in decided.coverages:
        pattern = coverage.rule.selector.names
        if coverage.rule.optional or "{" not in pattern.pattern or not (matched := coverage.matched):
            continue
        names, highest = [*(tensor.name for tensor in matched), *aliases], around.numbers_for(pattern)
        idle = pattern.idle_alternatives(names, highest)
        if idle and (tied := left_out_names(around.checkpoint)):
            idle = pattern.idle_alternatives([*names, *tied], highest)
        yield from (Problem("rule.alternative", f"{coverage.rule}: {shown(text)} matches no tensor") for text in idle)
