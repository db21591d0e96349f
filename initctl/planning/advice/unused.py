"""Rules that decide nothing, and alternatives by which a pattern matches nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from initctl.errors import Problem, escape, listed, shown
from initctl.formats.optimizers.masters import of_optimizers
from initctl.planning.advice.left_alone import only_left_alone
from initctl.planning.advice.naming import with_kinds
from initctl.planning.advice.tied import Ties, left_out_names
from initctl.planning.nearest import hint_for
from initctl.rules import quoted

if TYPE_CHECKING:
    from collections.abc import Mapping

    from initctl.formats import Checkpoint
    from initctl.planning.advice.tied import Tie
    from initctl.planning.deciding import Coverage, Decisions
    from initctl.planning.lookup import Surroundings
    from initctl.planning.quantization.weights import QuantizedWeight


def unused_rules(decisions: Decisions, checkpoint: Checkpoint) -> list[Problem]:
    """What is wrong with each rule that decides no tensor."""
    ties, quantized = Ties(checkpoint), decisions.quantized
    return [problem for reach in decisions.reaches if (problem := _unused(reach, checkpoint, quantized, ties))]


def _unused(
    reach: Coverage, checkpoint: Checkpoint, quantized: Mapping[str, QuantizedWeight], ties: Ties
) -> Problem | None:
    """What is wrong with a rule that decides no tensor."""
    if reach.decided or reach.unfit or reach.rule.optional:
        return None
    matches = reach.rule.selector.names.matches
    if reach.lost:
        later = listed(list(map(str, reach.lost_to)))
        message = f"{reach.rule}: decides nothing: all that it matches is decided by later rules: {later}"
        return Problem("rule.overridden", message, "the last rule wins: remove it, or move it after them")
    if reach.left_alone:
        return only_left_alone(reach, quantized)
    if reach.left_out and reach.rule.where:
        message = f"{reach.rule}: decides nothing: it matches {with_kinds(reach.left_out)}"
        return Problem("rule.unused", message, f"its condition holds for none of them: {shown(reach.rule.where.text)}")
    for tensor in checkpoint.tensors:
        if alias := next(filter(matches, tensor.aliases), None):
            message = (
                f"{reach.rule}: matches no tensor: {shown(alias)} is kept as {shown(tensor.name)}, which it is tied to"
            )
            return Problem("rule.unused", message, f"write '{escape(quoted(tensor.name))}'")
    outside = [tensor.name for tensor in checkpoint.outside if matches(tensor.name)]
    if outside:
        at = f" at {shown(checkpoint.root)}" if checkpoint.root else ""
        message = f"{reach.rule}: matches no tensor of the state dict{at}"
        return Problem("rule.unused", message, _outside(outside[0], checkpoint))
    if tie := ties.of(reach.rule.selector):
        return _tied(reach, tie)
    hint = hint_for(reach.rule.selector.names.pattern, [tensor.name for tensor in checkpoint.tensors])
    return Problem("rule.unused", f"{reach.rule}: matches no tensor", hint)


def _tied(reach: Coverage, tie: Tie) -> Problem:
    """What is wrong with a rule for a tensor that its model has, and its file does not."""
    kept = f"write '{escape(quoted(tie.kept))}'"
    if tie.sure:
        fault = f"{shown(tie.left_out)} is tied to {shown(tie.kept)}, which is kept in its place"
        return Problem("rule.unused", f"{reach.rule}: matches no tensor: {fault}", kept)
    hint = f"if {shown(tie.left_out)} is tied to {shown(tie.kept)}, {kept}"
    return Problem("rule.unused", f"{reach.rule}: matches no tensor", hint)


def _outside(name: str, checkpoint: Checkpoint) -> str:
    """What to do about a rule that matches the tensor `name`, which is not in the state dict."""
    if name in of_optimizers(checkpoint.optimizers, checkpoint.masters):
        why = "belongs to an optimizer: --reset-optimizer resets what belongs to filled tensors"
        return f"{shown(name)} {why}; to fill it by its full name, add --root ''"
    return f"{shown(name)} is outside of it: --root '' takes all"


def idle_alternatives(decisions: Decisions, around: Surroundings) -> list[Problem]:
    """A warning for each alternative in a pattern's braces by which it matches nothing."""
    aliases = [alias for tensor in around.checkpoint.tensors for alias in tensor.aliases]
    problems = []
    for reach in decisions.reaches:
        names = [tensor.name for tensor in reach.matched]
        if names and not reach.rule.optional:
            idle = reach.rule.selector.names.idle_alternatives([*names, *aliases], around.highest)
            if idle and (tied := left_out_names(around.checkpoint)):
                idle = reach.rule.selector.names.idle_alternatives([*names, *aliases, *tied], around.highest)
            problems += [Problem("rule.alternative", f"{reach.rule}: {shown(text)} matches no tensor") for text in idle]
    return problems
