"""Which other files of a directory are copied along with a result.

A stale file contains the same model once more, with its old values. The caller decides whether such files are
copied. Without a decision, nothing is written.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from initctl.errors import InputError, Problem, UsageError, listed, shown
from initctl.formats.checkpoint import LEFT_OUT, STALE

if TYPE_CHECKING:
    from initctl.execution.output_format import Conversion
    from initctl.formats import Checkpoint

KEEP_STALE = "keep"
DROP_STALE = "drop"
"""The decisions: copy stale files unchanged, or leave them out (in place: remove them)."""


class StaleDecision(NamedTuple):
    """The names of the other files that are not copied, warnings about this, and whether others are copied at all."""

    dropped: tuple[str, ...] = ()
    warnings: tuple[Problem, ...] = ()
    is_copy: bool = False

    def replacing(self, warnings: Sequence[Problem]) -> tuple[Problem, ...]:
        """A plan's `warnings` and these, without the warning about stale files, since it is decided by now, and, if
        nothing is copied, without that about files that a copy leaves out.
        """
        settled = [STALE] if self.is_copy else [STALE, LEFT_OUT]
        return (*(problem for problem in warnings if problem.code not in settled), *self.warnings)


def decide_stale(
    checkpoint: Checkpoint, output: str | None, *, conversion: Conversion | None, patch: bool, stale: str | None
) -> StaleDecision:
    """Which other files are copied when `checkpoint` is written to `output`, or in place. `stale` is the decision.

    A copy reads everything below a directory. Raises `InputError` if it cannot, or if there are stale files and no
    decision; `UsageError` for an unknown decision.
    """
    if stale not in (None, KEEP_STALE, DROP_STALE):
        hint = f"use {KEEP_STALE} or {DROP_STALE}"
        raise UsageError(Problem("usage.stale", f"stale: unknown value {shown(stale)}", hint))
    if not checkpoint.is_directory or (conversion and not conversion.is_directory):
        return StaleDecision()
    if checkpoint.stale and stale is None:
        raise _undecided(checkpoint, in_place=output is None)
    if checkpoint.stale and stale == DROP_STALE and patch:
        fault = f"stale: --patch only overwrites weights, and cannot remove {shown(checkpoint.stale[0])}"
        raise UsageError(Problem("output.patch", fault, f"remove it yourself, or use --stale {KEEP_STALE}"))
    from initctl.formats.directories.companions import left_out_below

    is_copy = output is not None
    warnings = left_out_below(checkpoint) if is_copy else ()
    return StaleDecision(checkpoint.stale if stale == DROP_STALE else (), warnings, is_copy)


def _undecided(checkpoint: Checkpoint, *, in_place: bool) -> InputError:
    names = listed([shown(name) for name in checkpoint.stale], at_most=5)
    fault = f"also contains {names}: the same model in another file, with the old values"
    drop = "remove such files" if in_place else "leave such files out"
    hint = f"use --stale {DROP_STALE} to {drop}, or --stale {KEEP_STALE} to keep them unchanged"
    return InputError(Problem(STALE, f"{shown(checkpoint.path)}: {fault}", hint))
