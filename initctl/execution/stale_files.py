"""Which other files of a directory go along with a result, and which do not.

Files that hold the same model once more, with its old values, go along or are left behind as the caller decides.
Without a decision nothing is written.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from initctl.errors import InputError, Problem, UsageError, listed, shown
from initctl.formats.checkpoint import STALE

if TYPE_CHECKING:
    from initctl.execution.output_format import Conversion
    from initctl.formats import Checkpoint

KEEP_STALE = "keep"
DROP_STALE = "drop"
"""The decisions: carry stale files along unchanged, or leave them out; in place, remove them."""


class StaleDecision(NamedTuple):
    """The other files that do not go along, by name; and what is to be said of this, beside a plan's warnings."""

    dropped: tuple[str, ...] = ()
    warnings: tuple[Problem, ...] = ()

    def replacing(self, warnings: Sequence[Problem]) -> tuple[Problem, ...]:
        """A plan's `warnings` with these: the decision on stale files is made by now."""
        return (*(problem for problem in warnings if problem.code != STALE), *self.warnings)


def decide_stale(
    checkpoint: Checkpoint, output: str | None, *, conversion: Conversion | None, patch: bool, stale: str | None
) -> StaleDecision:
    """What goes along when `checkpoint` is written to `output`, or in place, as `stale` decides.

    A copy reads all that is below a directory. Raises `InputError` if that is not possible, or if there are stale files
    and no decision; `UsageError` for an unknown one.
    """
    if stale not in (None, KEEP_STALE, DROP_STALE):
        raise UsageError(Problem("usage.stale", f"stale: {shown(stale)} is neither {KEEP_STALE} nor {DROP_STALE}"))
    if not checkpoint.is_directory or (conversion and not conversion.is_directory):
        return StaleDecision()
    if checkpoint.stale and stale is None:
        raise _undecided(checkpoint, in_place=output is None)
    if checkpoint.stale and stale == DROP_STALE and patch:
        fault = f"stale: --patch overwrites weights only, and does not remove {shown(checkpoint.stale[0])}"
        raise UsageError(Problem("output.patch", fault, f"remove it yourself, or give --stale {KEEP_STALE}"))
    from initctl.formats.directories.companions import left_out_below

    warnings = () if output is None else left_out_below(checkpoint)
    return StaleDecision(checkpoint.stale if stale == DROP_STALE else (), warnings)


def _undecided(checkpoint: Checkpoint, *, in_place: bool) -> InputError:
    names = listed([shown(name) for name in checkpoint.stale], at_most=5)
    fault = f"also holds {names}: the same model in another file, which would keep the old values"
    drop = "removes such files" if in_place else "leaves such files out"
    hint = f"--stale {DROP_STALE} {drop}; --stale {KEEP_STALE} keeps them unchanged"
    return InputError(Problem(STALE, f"{shown(checkpoint.path)}: {fault}", hint))
